"""What mountd knows: its files as last read, and what ksmbd reported.

``State.files`` is replaced as a whole by a reload; a request reads it once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.wire import ipc
from ksmbd.wire.ipc import StartingUp, StateChanged
from ksmbd.wire.policy import Encryption, MapToGuest
from mountd import conf, krb5, share_security, shares, users
from mountd.conf import ConfError, Configuration
from mountd.host_names import HostNames
from mountd.hosts import Names, allowed
from mountd.params import GlobalParams
from mountd.sessions import Sessions
from mountd.shares import Shares
from mountd.system import Identity, System, UnixSystem
from mountd.throttle import Throttle

log = logging.getLogger("mountd")

SUBAUTH_NAME: Final = "ksmbd.subauth"  # beside the configuration
MACHINE_ID: Final = "/etc/machine-id"


class Files(NamedTuple):
    """One reading of the files."""

    configuration: Configuration
    accounts: users.Accounts
    shares: Shares
    generation: int

    @property
    def globals(self) -> GlobalParams:
        return self.configuration.globals


class Paths(NamedTuple):
    """Where the files are."""

    conf: str
    accounts: str = users.DEFAULT_PATH

    @property
    def share_security(self) -> str:
        """The shares' own descriptors, beside the accounts."""
        return share_security.beside(self.accounts)


class State:
    """Everything the requests are answered from."""

    def __init__(
        self,
        paths: Paths,
        *,
        system: System | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
        port: int | None = None,
        host_names: Names | None = None,
    ) -> None:
        """Read the files; *port* overrides ``tcp port``. Raises ConfError."""
        self.paths = paths
        self.system = system or UnixSystem()
        self.clock = clock
        self.started = clock()
        self.port = port
        self.sessions = Sessions()
        self.throttle = Throttle(monotonic)
        self.host_names = host_names or HostNames(monotonic)
        self.server_identity: Identity | None = None  # ksmbd's own, if it may become nobody else
        self._reloading = threading.Lock()
        self.editing = threading.Lock()  # one administrator at a time changes files over RPC
        self.files = self._read(1)
        self.sub_authorities = sub_authorities(
            os.path.join(os.path.dirname(paths.conf), SUBAUTH_NAME), random
        )

    def reload(self) -> StateChanged:
        """Read the files again and tell what changed. Raises ConfError; then nothing did."""
        with self._reloading:
            old = self.files
            new = self._read(old.generation + 1)
            changed, removed = new.shares.changes(old.shares)
            self.files = new
        return StateChanged(generation=new.generation, changed=changed, removed=removed)

    def admits(self, peer: str) -> bool:
        """Whether the ``hosts allow`` and ``hosts deny`` of ``[global]`` let the client log on."""
        own = self.files.configuration.defaults
        return allowed(peer, own.hosts_allow, own.hosts_deny, self.host_names)

    def identity(self, account: str) -> Identity | None:
        """Whom *account* acts as, None if the system does not know it and nobody stands in."""
        if self.server_identity is not None:
            return self.server_identity
        stand_in = self.files.globals.default_unix_user
        return self.system.user(account) or (self.system.user(stand_in) if stand_in else None)

    def guest_identity(self, account: str) -> Identity | None:
        """Whom the guest *account* acts as; nobody stands in for a guest."""
        return self.server_identity or self.system.user(account)

    def home(self, name: str) -> str:
        """The home directory of a system user, or an empty text."""
        return self.system.home(name)

    def first_group(self, name: str) -> str:
        """The name of a system user's first group, or an empty text."""
        user = self.system.user(name)
        return (self.system.group_name(user.gid) if user else None) or ""

    def host_name(self, address: str) -> str:
        """The name of a host, or an empty text."""
        return self.host_names.of(address)

    def _kept_handles(self) -> int:
        """Whether some share lets clients have durable handles, or even persistent ones."""
        durable = [share.params for share in self.files.shares if share.params.durable_handles]
        flags = ipc.DURABLE_HANDLES if durable else 0
        if any(params.continuous_availability for params in durable):
            flags |= ipc.PERSISTENT_HANDLES
        return flags

    def _audits(self) -> int:
        """Whether something of some share is to be recorded."""
        audits = any("full_audit" in share.params.vfs_objects for share in self.files.shares)
        return ipc.AUDIT if audits else 0

    def starting_up(self) -> StartingUp:
        """The message that starts ksmbd."""
        params = self.files.globals
        port = params.tcp_port if self.port is None else self.port
        return StartingUp(
            flags=_flags(params) | self._kept_handles() | self._audits(),
            signing=params.server_signing,
            tcp_port=port,
            ipc_timeout=params.ipc_timeout,
            deadtime=params.deadtime,
            file_max=params.max_open_files,
            max_read=params.smb2_max_read,
            max_write=params.smb2_max_write,
            max_trans=params.smb2_max_trans,
            max_credits=params.smb2_max_credits,
            max_io_size=params.smbd_max_io_size,
            max_connections=params.max_connections,
            max_ip_connections=params.max_ip_connections,
            max_sessions=params.max_active_sessions,
            max_user_sessions=params.max_user_sessions,
            fake_fscaps=params.share_fake_fscaps,
            sub_auth_1=self.sub_authorities[0],
            sub_auth_2=self.sub_authorities[1],
            sub_auth_3=self.sub_authorities[2],
            map_to_guest=params.map_to_guest,
            restrict_anonymous=params.restrict_anonymous,
            min_protocol=params.server_min_protocol,
            max_protocol=params.server_max_protocol,
            netbios_name=params.netbios_name,
            workgroup=params.workgroup,
            server_string=params.server_string,
            guest_account=params.guest_account,
            default_unix_user=params.default_unix_user,
            aapl_model=params.aapl_model,
            slow_request_ms=params.slow_request_log,
            metrics_address=params.metrics_address,
            metrics_file=params.metrics_file,
            audit_log=params.audit_log,
            audit_size=-(-params.audit_log_size // 1024),
            audit_count=params.audit_log_count,
            audit_success=params.audit_log_success,
            audit_failure=params.audit_log_failure,
            interfaces=params.interfaces,
            encryption_algorithms=params.server_smb3_encryption_algorithms,
            signing_algorithms=params.server_smb3_signing_algorithms,
        )

    def warnings(self) -> list[str]:
        """What the administrator should know about the files: each thing in one line."""
        found = list(self.files.configuration.warnings)
        found += [self._stranger(name) for name in self.files.accounts if self._unknown(name)]
        for share in self.files.shares:
            if share.path and not share.variables and not os.path.isdir(share.path):
                found.append(f"share {share.name}: {share.path} is no directory")
            problem = shares.forced(share.params, self.system)[1]
            if problem and not share.variables:
                found.append(f"share {share.name}: {problem}; nobody can connect")
        guest = self.files.globals.guest_account
        if self.guest_identity(guest) is None:
            found.append(f"guest account: there is no user {guest!r}; guests are refused")
        if self.files.globals.kerberos_support and not krb5.AVAILABLE:
            found.append("kerberos support: the Python module gssapi is not installed")
        stand_in = self.files.globals.default_unix_user
        if stand_in and self.system.user(stand_in) is None:
            found.append(f"default unix user: there is no user {stand_in!r}")
        return found

    def _read(self, generation: int) -> Files:
        configuration = conf.load(self.paths.conf)
        accounts = users.load(self.paths.accounts)
        security = share_security.load(self.paths.share_security)
        served = shares.build(configuration, security)
        params = configuration.globals  # of files that are all good
        self.throttle.configure(params.max_failed_logons, params.failed_logon_window * 60)
        return Files(configuration, accounts, served, generation)

    def _unknown(self, account: str) -> bool:
        return self.server_identity is None and self.system.user(account) is None

    def _stranger(self, account: str) -> str:
        """What becomes of an account without a system user."""
        params = self.files.globals
        acts = "is refused"
        if self.identity(account) is not None:
            acts = f"acts as {params.default_unix_user}"
        elif params.map_to_guest == MapToGuest.BAD_UID:
            acts = f"acts as the guest account {params.guest_account}"
        return f"account {account!r} has no system user and {acts}"


def _flags(params: GlobalParams) -> int:
    bits = (
        (params.smb2_leases, ipc.LEASES),
        (params.smb3_encryption == Encryption.REQUIRED, ipc.ENCRYPTION),
        (params.smb3_encryption == Encryption.DESIRED, ipc.ENCRYPTION_DESIRED),
        (params.smb3_encryption == Encryption.OFF, ipc.ENCRYPTION_OFF),
        (params.server_multi_channel_support, ipc.MULTICHANNEL),
        (params.smb3_unix_extensions, ipc.POSIX_EXTENSIONS),
        (params.kerberos_support and krb5.AVAILABLE, ipc.KERBEROS),
        (params.bind_interfaces_only, ipc.BIND_INTERFACES_ONLY),
        (params.metrics or params.metrics_address or params.metrics_file, ipc.COUNT_REQUESTS),
    )
    return sum(bit for wanted, bit in bits if wanted)


def sub_authorities(path: str, random: Callable[[int], bytes]) -> tuple[int, int, int]:
    """The machine's three sub-authorities, ``a:b:c`` in *path*, made up at the first start.

    Where they cannot be kept they are derived from the machine id, so that they stay the same.
    Raises ConfError if the file holds something else.
    """
    try:
        with open(path, encoding="ascii") as file:
            line = file.read().strip()
    except FileNotFoundError:
        return _new_sub_authorities(path, random)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfError(path, 0, str(error)) from None
    fields = line.split(":")
    if len(fields) != 3 or not all(part.isdigit() and int(part) < 1 << 32 for part in fields):
        raise ConfError(path, 1, "expected three numbers below 2^32, as in 1:2:3")
    first, second, third = map(int, fields)
    return first, second, third


def _new_sub_authorities(path: str, random: Callable[[int], bytes]) -> tuple[int, int, int]:
    numbers = _three(random(12))
    content = ":".join(map(str, numbers)) + "\n"
    try:
        users.replace_file(path, content.encode(), 0o644)
    except OSError as error:
        try:
            with open(MACHINE_ID, "rb") as file:
                identity = file.read().strip()
        except OSError:
            identity = b""
        if not identity:
            raise ConfError(path, 0, f"cannot be written: {error.strerror}") from None
        log.info("%s cannot be written: the machine's SID comes from %s", path, MACHINE_ID)
        return _three(hashlib.sha256(b"ksmbd.subauth" + identity).digest())
    return numbers


def _three(data: bytes) -> tuple[int, int, int]:
    first, second, third = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
    return first, second, third
