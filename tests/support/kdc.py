"""A real MIT KDC for tests, with a realm of its own in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

REALM: Final = "KSMBD.TEST"
MASTER: Final = "master key of a test"
START_S: Final = 10.0


def program(name: str) -> str:
    """The path of one of MIT Kerberos' programs; AssertionError if it is missing."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert found is not None, f"{name} is missing: make test installs it"
    return found


class Kdc:
    """``with Kdc(folder) as kdc``; ``environment`` is what clients and servers need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            "KRB5RCACHETYPE": "none",
        }

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._configure()
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", MASTER)
        log = (self.folder / "krb5kdc.log").open("wb")
        self._process = subprocess.Popen(
            [program("krb5kdc"), "-n", "-r", REALM], env=self._environ(), stdout=log, stderr=log
        )
        log.close()
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)

    def add_user(self, name: str, password: str, *options: str) -> None:
        self._run("kadmin.local", "-r", REALM, "addprinc", *options, "-pw", password, name)

    def add_service(self, name: str, keytab: Path) -> None:
        """A principal with a random key, put into *keytab*."""
        self._run("kadmin.local", "-r", REALM, "addprinc", "-randkey", name)
        self._run("kadmin.local", "-r", REALM, "ktadd", "-k", str(keytab), name)

    def log_on(self, name: str, password: str, cache: Path, *options: str) -> dict[str, str]:
        """kinit; returns the environment that has the ticket."""
        environment = self.environment | {"KRB5CCNAME": f"FILE:{cache}"}
        subprocess.run(
            [program("kinit"), *options, f"{name}@{REALM}"],
            env=self._environ(environment),
            input=f"{password}\n".encode(),
            check=True,
            capture_output=True,
        )
        return environment

    def _configure(self) -> None:
        (self.folder / "krb5.conf").write_text(f"""\
[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    clockskew = 2
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = 127.0.0.1:{self.port}
    }}
[domain_realm]
    localhost = {REALM}
    .ksmbd.test = {REALM}
""")
        (self.folder / "kdc.conf").write_text(f"""\
[kdcdefaults]
    kdc_listen = 127.0.0.1:{self.port}
    kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
    {REALM} = {{
        database_name = {self.folder}/principal
        key_stash_file = {self.folder}/stash
        acl_file = {self.folder}/acl
        max_life = 10h
        supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
    }}
""")

    def _environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **self.environment, **(more or {})}

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            env=self._environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _wait(self) -> None:
        """Until the port answers; the KDC says so nowhere."""
        end = time.monotonic() + START_S
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "krb5kdc.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < end, "the KDC does not answer"
                continue
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
