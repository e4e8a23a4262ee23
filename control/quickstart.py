"""A share in one command: what ``make run`` calls.

Writes a configuration and a password file into ``.run/``, starts ksmbd together with its mountd
in the foreground, and prints, once it listens, the commands that reach it.  It keeps no state: each
start makes both files anew.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import re
import secrets
import shlex
import signal
import socket
import string
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ksmbd.wire.ipc import LOCK_NAME

SMB_PORT: Final = 445
HIGH_PORT: Final = 4450  # for those who may not have 445
PASSWORD_LENGTH: Final = 16
READY: Final = re.compile(r"^ksmbd: ready on \[?(?P<host>.+?)\]?:(?P<port>\d+)$")
UNSPECIFIED: Final = frozenset({"", "0.0.0.0", "::"})
STOPPERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Settings(NamedTuple):
    """What is served, where and for whom."""

    port: int
    bind: str  # an address of this machine
    share: Path  # absolute
    user: str
    password: str
    folder: Path  # ours: configuration, accounts, sockets


def generated_password(choice: Callable[[str], str] = secrets.choice) -> str:
    """Letters and digits only: it stands unquoted in every command that is printed."""
    return "".join(choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_LENGTH))


def can_listen(bind: str, port: int) -> bool:
    """Whether this process may have ``port`` and nobody else does."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_port(bind: str, may_listen: Callable[[str, int], bool] = can_listen) -> int:
    """The standard port where it can be had, else a high one."""
    return SMB_PORT if may_listen(bind, SMB_PORT) else HIGH_PORT


def configuration(settings: Settings, system_user: str) -> str:
    """The text of ``ksmbd.conf``: one writable share, everything done as ``system_user``."""
    return f"""\
[global]
\tserver string = ksmbd quick start
\tmap to guest = never
\tdefault unix user = {system_user}

[share]
\tpath = {settings.share}
\tread only = no
"""


def addresses(bind: str) -> str:
    """The name under which a client reaches ``bind``."""
    return socket.gethostname() if bind in UNSPECIFIED else bind


def commands(settings: Settings) -> list[str]:
    """The lines to paste: Samba's client, the kernel's client, Windows."""
    host, port = addresses(settings.bind), settings.port
    account = shlex.quote(f"{settings.user}%{settings.password}")
    options = f"port={port},username={settings.user},password={settings.password}"
    if os.geteuid() != 0:
        options += f",uid={os.getuid()},gid={os.getgid()}"
    mount = "mount" if os.geteuid() == 0 else "sudo mount"
    tcp_port = "" if port == SMB_PORT else f" /tcpport:{port}"
    return [
        f"smbclient -p {port} -U {account} //{host}/share",
        f"{mount} -t cifs -o {shlex.quote(options)} //{host}/share /mnt",
        f"net use X: \\\\{host}\\share /user:{settings.user} {settings.password}{tcp_port}",
    ]


def announcement(settings: Settings) -> str:
    """What is printed below the server's own ready line."""
    lines = [
        f"share    {settings.share}",
        f"account  {settings.user}",
        f"password {settings.password}",
        "",
        *commands(settings),
        "",
        "Ctrl-C stops it.",
    ]
    if settings.port != SMB_PORT:
        lines.insert(-1, "(net use takes a /tcpport from Windows 11 24H2 on; older ones need 445)")
    return "\n".join(lines)


def prepare(settings: Settings) -> tuple[Path, Path]:
    """Make the folders and both files; return the configuration's and the accounts' path."""
    settings.share.mkdir(parents=True, exist_ok=True)
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.folder.chmod(0o700)
    conf, accounts = settings.folder / "ksmbd.conf", settings.folder / "ksmbdpwd.db"
    conf.write_text(configuration(settings, pwd.getpwuid(os.geteuid()).pw_name), encoding="utf-8")
    accounts.unlink(missing_ok=True)
    files = ["-P", str(accounts), "-C", str(conf), "--lock", str(settings.folder / LOCK_NAME)]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "control.adduser",
            *files,
            *("-a", "-p", "-"),  # others see command lines
            *("--", settings.user),
        ],
        input=f"{settings.password}\n",
        check=True,
        capture_output=True,
        text=True,
    )
    return conf, accounts


def server_command(settings: Settings, conf: Path, accounts: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "ksmbd", "--with-mountd"),
        *("--config", str(conf), "--pwddb", str(accounts), "--run-dir", str(settings.folder)),
        *("--port", str(settings.port), "--bind", settings.bind),
    ]


def relay(lines: Iterable[str], settings: Settings, show: Callable[[str], None]) -> None:
    """Pass the server's lines on; after its ready line add how to reach it."""
    for line in lines:
        show(line.rstrip("\n"))
        if ready := READY.match(line.strip()):
            show(announcement(settings._replace(port=int(ready["port"]))))


@contextlib.contextmanager
def own_terminal() -> Iterator[None]:
    """Be what the terminal's Ctrl-C stops, alone: ``make`` would die of it and not tell our status.

    Without a terminal, or in the background, nothing changes.  Ctrl-Z does nothing meanwhile: who
    started us would not notice, and the server would stand still for its clients.
    """
    starter = os.getpgrp()
    if (
        not sys.stdin.isatty()
        or os.tcgetpgrp(0) != starter
        or os.getpid() in {starter, os.getsid(0)}
    ):
        yield
        return
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # handing the terminal over would stop us
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(0, starter)


def serve(settings: Settings) -> int:
    """Run the server until it ends or a signal comes; return its exit status."""
    command = server_command(settings, *prepare(settings))
    servers: list[subprocess.Popen[str]] = []
    signals: list[int] = []

    def stop(number: int, _frame: object) -> None:
        signals.append(number)
        for server in servers:
            server.terminate()

    for number in STOPPERS:
        signal.signal(number, stop)
    # a group of its own: the terminal's Ctrl-C reaches us alone, and the server is told once
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as server:
        servers.append(server)
        if signals:  # it came while the server was being started
            server.terminate()
        assert server.stdout is not None
        relay(server.stdout, settings, lambda text: print(text, flush=True))
        status = server.wait()
    return status if status >= 0 else 128 - status


def parse(arguments: Sequence[str], environment: dict[str, str]) -> Settings:
    """Options win over the environment; an empty variable counts as unset."""
    parser = argparse.ArgumentParser(prog="control.quickstart", description=__doc__)
    parser.add_argument("--port", type=int, default=int(environment.get("PORT") or 0))
    parser.add_argument("--bind", default=environment.get("BIND") or "127.0.0.1")
    parser.add_argument("--share", type=Path, default=Path(environment.get("SHARE") or "share"))
    parser.add_argument("--user", default=environment.get("SMB_USER") or "ksmbd")
    parser.add_argument("--password", default=environment.get("SMB_PASSWORD") or "")
    parser.add_argument("--folder", type=Path, default=Path(".run"))
    chosen = parser.parse_args(arguments)
    return Settings(
        port=chosen.port or choose_port(chosen.bind),
        bind=chosen.bind,
        share=chosen.share.absolute(),
        user=chosen.user,
        password=chosen.password or generated_password(),
        folder=chosen.folder.absolute(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    settings = parse(sys.argv[1:] if arguments is None else arguments, dict(os.environ))
    try:
        with own_terminal():
            return serve(settings)
    except subprocess.CalledProcessError as failed:
        print(f"ksmbd-adduser ended with {failed.returncode}: {failed.stderr}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
