"""What mountd's start-up message says, in the form the server uses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ksmbd.wire.negotiate import AES_128_CCM, AES_128_GCM, AES_256_CCM, AES_256_GCM
from ksmbd.wire.policy import Encryption


class SigningPolicy(IntEnum):
    """``server signing``."""

    DISABLED = 0
    AUTO = 2
    MANDATORY = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """Global parameters; replaced as a whole on reload.  Sizes are bytes, times seconds."""

    netbios_name: str = "KSMBD SERVER"
    workgroup: str = "WORKGROUP"
    server_string: str = "SMB SERVER"
    aapl_model: str = "MacSamba"  # what Apple's clients choose an icon by
    signing: SigningPolicy = SigningPolicy.AUTO
    min_dialect: int = 0x0202
    max_dialect: int = 0x0311
    signing_algorithms: tuple[int, ...] = (2, 1, 0)  # AES-GMAC, AES-CMAC, HMAC-SHA256
    encryption: Encryption = Encryption.AUTO
    # CCM costs two to three times what GCM does, 256 bits up to half more than 128.
    ciphers: tuple[int, ...] = (AES_128_GCM, AES_256_GCM, AES_128_CCM, AES_256_CCM)
    max_read: int = 8 << 20
    max_write: int = 8 << 20
    max_trans: int = 1 << 20
    max_credits: int = 8192
    max_open_files: int = 10000
    max_sessions: int = 1024
    max_user_sessions: int = 256
    max_connections: int = 128
    max_connections_per_address: int = 32
    deadtime_s: int = 0  # idle connections without open files are dropped; 0: never
    kerberos: bool = False  # mountd accepts tickets
    multichannel: bool = False  # server multi channel support
    persistent_handles: bool = False  # some share has them
    posix: bool = True  # smb3 unix extensions, for clients of 3.1.1 that ask for them
    leases: bool = True  # smb2 leases; oplocks are the shares' own matter
    wrong_password_is_guest: bool = False  # map to guest = bad password
    restrict_anonymous: int = 0
    fake_fscaps: int = 0x40
    sub_authorities: tuple[int, int, int] = (0, 0, 0)
    ipc_timeout_s: int = 0
    count_requests: bool = False
    slow_request_ms: int = 0  # requests that take as long are logged; 0: none
    metrics_address: str = ""  # ADDRESS:PORT or the path of a Unix socket; "": nowhere
    metrics_file: str = ""  # "": none
    audit: bool = False  # something of some share is recorded
    audit_log: str = ""  # where; "": in the server's log
    audit_size: int = 0  # bytes; 0: any
    audit_count: int = 0  # earlier ones that are kept
    audit_success: int = 0  # auditing.Operation: of log-ons, and of tree connects to any share
    audit_failure: int = 0
