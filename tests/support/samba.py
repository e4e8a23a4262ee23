"""The reference Samba as a peer: same life and same questions as ``LiveServer``.

It is Debian's package, unpacked into the cache (``debs.py``) and started in a mount namespace and
chroot of its own: nothing is installed, no service of the host is touched.  Needs root.

    python -m tests.support.samba [PORT]       run it by hand until Ctrl-C
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from tests.support.debs import ensure
from tests.support.live import (
    USERS,
    LiveServer,
    LiveShare,
    ServerFailed,
    ServerProcess,
    open_share,
    standard_shares,
)

PACKAGES: Final = ("samba", "samba-vfs-modules", "bash", "coreutils")
INSIDE: Final = Path("/srv/peer")  # where the chroot sees our folder
FIRST_UID: Final = 2001
START_S: Final = 60.0
STOP_S: Final = 20.0
ACCOUNTS: Final = (
    "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "root:x:0:\nnogroup:x:65534:\n",
)
# own view of the file systems; exec all the way, so that the process we started is smbd
ENTER: Final = """\
root=$1; folder=$2; inside=$3; shift 3
mount --make-rprivate /
for name in dev proc sys; do mount --rbind /$name "$root/$name"; done
mount --rbind "$folder" "$root$inside"
for name in passwd group; do mount --bind "$folder/$name" "$root/etc/$name"; done
exec chroot "$root" "$@"
"""
GLOBALS: Final = {
    "server role": "standalone server",
    "netbios name": "PEERSMB",
    "workgroup": "WORKGROUP",
    "interfaces": "lo 127.0.0.1/8",
    "bind interfaces only": "yes",
    "disable netbios": "yes",
    "passdb backend": "tdbsam",
    "map to guest": "never",
    "log level": "1",
    "server min protocol": "SMB2_02",
    "smb3 unix extensions": "yes",
    "kernel oplocks": "no",
    "load printers": "no",
    "printing": "bsd",
    "printcap name": "/dev/null",
    "disable spoolss": "yes",
    "ea support": "yes",
    "store dos attributes": "yes",
    "map archive": "no",
    "map hidden": "no",
    "map system": "no",
    "map readonly": "no",
    "strict locking": "yes",
    "posix locking": "no",
    "kernel share modes": "no",
    "durable handles": "yes",
    "create mask": "0777",
    "directory mask": "0777",
    "vfs objects": "acl_xattr streams_xattr",
    "acl_xattr:ignore system acls": "yes",
}
FOLDERS: Final = {
    "private dir": "private",
    "lock directory": "lock",
    "state directory": "state",
    "cache directory": "cache",
    "pid directory": "pid",
    "ncalrpc dir": "ncalrpc",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class SambaServer(ServerProcess):
    """smbd on a loopback port with users and shares of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        shares: Sequence[LiveShare] | None = None,
        users: Mapping[str, str] | None = None,
        globals_: Mapping[str, str] | None = None,
        port: int = 0,
        first_uid: int = FIRST_UID,
    ) -> None:
        self.folder = folder
        self.shares = list(standard_shares(folder) if shares is None else shares)
        self.users = dict(USERS if users is None else users)
        self.first_uid = first_uid
        self.globals = {**GLOBALS, **(globals_ or {})}
        self.port = port or free_port()
        self._root = Path()

    def configuration_text(self) -> str:
        """smb.conf as the chroot sees it: shares lie below our folder."""
        lines = ["[global]", f"\tsmb ports = {self.port}"]
        lines += [f"\t{key} = {value}" for key, value in self.globals.items()]
        lines += [f"\t{key} = {INSIDE / name}" for key, name in FOLDERS.items()]
        lines.append(f"\tlog file = {INSIDE}/log.%m")
        for share in self.shares:
            lines += ["", f"[{share.name}]"]
            lines.append(f"\tpath = {INSIDE / share.path.relative_to(self.folder)}")
            lines += [f"\t{key} = {value}" for key, value in share.options.items()]
        return "\n".join(lines) + "\n"

    def start(self) -> Self:
        """Unpack if need be, add the users, start; return when smbd says that it is ready."""
        self._root = ensure("samba", "closure", PACKAGES)
        self._prepare()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(self.folder / "notify"))
            (self.folder / "notify").chmod(0o777)
            notified.settimeout(START_S)
            with (self.folder / "smbd.out").open("w") as log:
                self._process = subprocess.Popen(
                    self._enter("smbd", "--foreground", "--no-process-group", "-s", self._conf),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    text=True,
                    env={**os.environ, "NOTIFY_SOCKET": str(INSIDE / "notify")},
                    start_new_session=True,
                )
            self._await_ready(notified)
        return self

    def stop(self) -> None:
        assert self._process is not None
        if self.running:
            os.killpg(self.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        self.stop()

    def check_log(self, after: int = 0) -> None:
        """Samba's own faults are not ours to judge."""

    def log_text(self) -> str:
        output = self.folder / "smbd.out"
        return output.read_text(errors="replace") if output.exists() else ""

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _conf(self) -> str:
        return str(INSIDE / "smb.conf")

    def _enter(self, *command: str) -> list[str]:
        shell = ["unshare", "-m", "sh", "-c", ENTER, "sh"]
        return [*shell, str(self._root), str(self.folder), str(INSIDE), *command]

    def _prepare(self) -> None:
        for name in ("dev", "proc", "sys", "tmp", "etc", "run", "var/tmp", str(INSIDE)):
            (self._root / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        names = list(enumerate(self.users, self.first_uid))
        passwd = "".join(f"{name}:x:{uid}:{uid}::/tmp:/bin/sh\n" for uid, name in names)
        group = "".join(f"{name}:x:{uid}:\n" for uid, name in names)
        for file, lines in (("passwd", ACCOUNTS[0] + passwd), ("group", ACCOUNTS[1] + group)):
            (self.folder / file).write_text(lines)
            (self._root / "etc" / file).touch()
        for name in FOLDERS.values():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # smbd enters it as the user
        (self.folder / "ncalrpc").chmod(0o755)
        for share in self.shares:
            share.path.mkdir(parents=True, exist_ok=True)
            share.path.chmod(0o777)
        (self.folder / "smb.conf").write_text(self.configuration_text())
        (self.folder / "notify").unlink(missing_ok=True)
        for name, password in self.users.items():
            self._add_user(name, password)

    def _add_user(self, name: str, password: str) -> None:
        added = subprocess.run(
            self._enter("smbpasswd", "-c", self._conf, "-s", "-a", name),
            input=f"{password}\n{password}\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if added.returncode:
            raise ServerFailed(f"smbpasswd {name}: {added.stdout}{added.stderr}")

    def _await_ready(self, notified: socket.socket) -> None:
        """smbd tells its service manager, and here we are it."""
        try:
            while b"READY=1" not in notified.recv(4096):
                pass
        except TimeoutError:
            self.stop()
            raise ServerFailed(f"smbd did not get ready:\n{self.tail()}") from None


@contextmanager
def beside_samba(
    folder: Path,
    options: Mapping[str, str],
    globals_: Mapping[str, str] | None = None,
    account: str | None = None,
) -> Iterator[tuple[SambaServer, LiveServer]]:
    """Samba, with further *globals_*, and our server on one directory in *folder*.

    With *account* the first user of both acts as that system user.
    """
    share = open_share(folder, options)
    first_uid = FIRST_UID if account is None else pwd.getpwnam(account).pw_uid
    acts_as = {} if account is None else {"default unix user": account}
    with (
        SambaServer(folder, shares=[share], globals_=globals_, first_uid=first_uid) as samba,
        LiveServer(folder / "ours", shares=[share], globals_=acts_as) as ours,
    ):
        yield samba, ours


def main() -> int:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 4460
    with (
        tempfile.TemporaryDirectory(prefix="samba-peer-") as folder,
        SambaServer(Path(folder), port=port) as server,
    ):
        stoppers = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, stoppers)  # after start: smbd would inherit it
        print(f"smbd on 127.0.0.1:{server.port}, users and passwords: {server.users}", flush=True)
        signal.sigwait(stoppers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
