"""mountd's start-up message in the server's own terms."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from ksmbd.auth import spnego
from ksmbd.state.settings import Settings, SigningPolicy
from ksmbd.wire import ipc, negotiate
from ksmbd.wire.ipc import StartingUp
from ksmbd.wire.policy import Encryption, MapToGuest, Signing
from ksmbd.wire.spnego import KERBEROS, MS_KERBEROS, NTLMSSP

log = logging.getLogger("ksmbd.ipc")

PROTOCOLS: Final = {
    "SMB2_02": negotiate.SMB_2_0_2,
    "SMB2_10": negotiate.SMB_2_1,
    "SMB3_00": negotiate.SMB_3_0,
    "SMB3_02": negotiate.SMB_3_0_2,
    "SMB3_11": negotiate.SMB_3_1_1,
}
SIGNING_ALGORITHMS: Final = {
    "AES-128-GMAC": negotiate.AES_GMAC,
    "AES-128-CMAC": negotiate.AES_CMAC,
    "HMAC-SHA256": negotiate.HMAC_SHA256,
}
CIPHERS: Final = {
    "AES-128-GCM": negotiate.AES_128_GCM,
    "AES-128-CCM": negotiate.AES_128_CCM,
    "AES-256-GCM": negotiate.AES_256_GCM,
    "AES-256-CCM": negotiate.AES_256_CCM,
}
POLICIES: Final[dict[int, SigningPolicy]] = {
    Signing.DISABLED: SigningPolicy.DISABLED,
    Signing.ENABLED: SigningPolicy.AUTO,
    Signing.AUTO: SigningPolicy.AUTO,
    Signing.MANDATORY: SigningPolicy.MANDATORY,
}


def settings_from(message: StartingUp) -> Settings:
    """The global parameters; what is missing or unknown keeps its default."""
    default = Settings()
    algorithms = _known(message.signing_algorithms, SIGNING_ALGORITHMS)
    ciphers = _known(message.encryption_algorithms, CIPHERS)
    return Settings(
        netbios_name=message.netbios_name or default.netbios_name,
        workgroup=message.workgroup or default.workgroup,
        server_string=message.server_string or default.server_string,
        aapl_model=message.aapl_model or default.aapl_model,
        signing=POLICIES.get(message.signing, default.signing),
        min_dialect=PROTOCOLS.get(message.min_protocol, default.min_dialect),
        max_dialect=PROTOCOLS.get(message.max_protocol, default.max_dialect),
        signing_algorithms=algorithms or default.signing_algorithms,
        encryption=encryption(message.flags),
        ciphers=ciphers or default.ciphers,
        max_read=message.max_read or default.max_read,
        max_write=message.max_write or default.max_write,
        max_trans=message.max_trans or default.max_trans,
        max_credits=message.max_credits or default.max_credits,
        max_open_files=message.file_max or default.max_open_files,
        max_sessions=message.max_sessions or default.max_sessions,
        max_user_sessions=message.max_user_sessions or default.max_user_sessions,
        max_connections=message.max_connections,
        max_connections_per_address=message.max_ip_connections,
        deadtime_s=message.deadtime * 60,
        kerberos=bool(message.flags & ipc.KERBEROS),
        multichannel=bool(message.flags & ipc.MULTICHANNEL),
        leases=bool(message.flags & ipc.LEASES),
        posix=bool(message.flags & ipc.POSIX_EXTENSIONS),
        persistent_handles=bool(message.flags & ipc.PERSISTENT_HANDLES),
        wrong_password_is_guest=message.map_to_guest == MapToGuest.BAD_PASSWORD,
        restrict_anonymous=message.restrict_anonymous,
        fake_fscaps=message.fake_fscaps,
        sub_authorities=sub_authorities(message),
        ipc_timeout_s=message.ipc_timeout,
        count_requests=bool(message.flags & ipc.COUNT_REQUESTS),
        slow_request_ms=message.slow_request_ms,
        metrics_address=message.metrics_address,
        metrics_file=message.metrics_file,
        audit=bool(message.flags & ipc.AUDIT),
        audit_log=message.audit_log,
        audit_size=message.audit_size << 10,
        audit_count=message.audit_count,
        audit_success=message.audit_success,
        audit_failure=message.audit_failure,
    )


def negotiate_token(settings: Settings) -> bytes:
    """What a NEGOTIATE response says of the mechanisms: Kerberos first where there is a keytab."""
    if settings.kerberos:
        return spnego.hint((MS_KERBEROS, KERBEROS, NTLMSSP))
    return spnego.hint((NTLMSSP,))


def encryption(flags: int) -> Encryption:
    """``smb3 encryption`` from StartingUp.flags."""
    if flags & ipc.ENCRYPTION:
        return Encryption.REQUIRED
    if flags & ipc.ENCRYPTION_OFF:
        return Encryption.OFF
    return Encryption.DESIRED if flags & ipc.ENCRYPTION_DESIRED else Encryption.AUTO


def _known(names: Sequence[str], numbers: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(numbers[name] for name in names if name in numbers)


def sub_authorities(message: StartingUp) -> tuple[int, int, int]:
    return message.sub_auth_1, message.sub_auth_2, message.sub_auth_3


def server_guid(message: StartingUp) -> bytes:
    """ServerGuid, [MS-SMB2] 3.3.1.5: 16 bytes, the same after every start of this server.

    The sub-authorities are random and kept on disk by mountd: the machine's one identity.
    """
    identity = struct.pack("<3I", *sub_authorities(message))
    return hashlib.sha256(b"ksmbd ServerGuid" + identity).digest()[:16]
