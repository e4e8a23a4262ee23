"""A real MIT KDC for tests: a realm, and another that it trusts, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

REALM: Final = "KSMBD.TEST"
TRUSTED: Final = "ELSEWHERE.TEST"  # its KDC vouches for its users to ours
MASTER: Final = "master key of a test"
START_S: Final = 10.0
# From a client's ticket to the server's look at it; so long a ticket is also good beyond its end.
# As much as a busy machine may take, and no more than a test may wait for an end.
SKEW_S: Final = 10


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
        for realm in (REALM, TRUSTED):
            self._run("kdb5_util", "create", "-s", "-r", realm, "-P", MASTER)
        log = (self.folder / "krb5kdc.log").open("wb")
        self._process = subprocess.Popen(
            [program("krb5kdc"), "-n", "-r", REALM, "-r", TRUSTED],
            env=self._environ(),
            stdout=log,
            stderr=log,
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

    def add_user(self, name: str, password: str, *options: str, realm: str = REALM) -> None:
        self._run("kadmin.local", "-r", realm, "addprinc", *options, "-pw", password, name)

    def trust(self) -> None:
        """Have REALM believe what TRUSTED says of its users."""
        for realm in (REALM, TRUSTED):
            self.add_user(f"krbtgt/{REALM}@{TRUSTED}", MASTER, realm=realm)

    def add_service(self, name: str, keytab: Path, *options: str) -> None:
        """A principal with a random key, put into *keytab*."""
        self._run("kadmin.local", "-r", REALM, "addprinc", "-randkey", *options, name)
        kinds = [part for pair in pairwise(options) if pair[0] == "-e" for part in pair]
        self.change_key(name, keytab, *kinds)

    def change_key(self, name: str, keytab: Path, *options: str) -> None:
        """Give it a new random key and put that into *keytab*, beside what is there."""
        self._run("kadmin.local", "-r", REALM, "ktadd", *options, "-k", str(keytab), name)

    def log_on(
        self, name: str, password: str, cache: Path, *options: str, realm: str = REALM
    ) -> dict[str, str]:
        """kinit; returns the environment that has the ticket."""
        environment = self.environment | {"KRB5CCNAME": f"FILE:{cache}"}
        subprocess.run(
            [program("kinit"), *options, f"{name}@{realm}"],
            env=self._environ(environment),
            input=f"{password}\n".encode(),
            check=True,
            capture_output=True,
        )
        return environment

    def get_ticket(self, service: str, environment: Mapping[str, str]) -> None:
        """Have a ticket for the service in the cache: from then on nobody asks the KDC."""
        self._run("kvno", f"{service}@{REALM}", environment=environment)

    def _configure(self) -> None:
        (self.folder / "krb5.conf").write_text(f"""\
[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    clockskew = {SKEW_S}
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = 127.0.0.1:{self.port}
    }}
    {TRUSTED} = {{
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
{self._realm(REALM)}
{self._realm(TRUSTED)}
""")

    def _realm(self, name: str) -> str:
        return f"""\
    {name} = {{
        database_name = {self.folder}/{name}
        key_stash_file = {self.folder}/{name}.stash
        acl_file = {self.folder}/acl
        max_life = 10h
        supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
    }}"""

    def _environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **self.environment, **(more or {})}

    def _run(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            env=self._environ(environment),
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


def shift_clock(cache: Path, seconds: int) -> None:
    """Let whoever uses the tickets of *cache* believe that it is so much later than it is.

    A cache of version 4 says in its header how far the client's clock is from the KDC's.
    """
    data = cache.read_bytes()
    version, length = struct.unpack_from(">HH", data)
    assert version == 0x0504, "another kind of cache"
    offset = struct.pack(">HHii", 1, 8, seconds, 0)
    cache.write_bytes(struct.pack(">HH", version, len(offset)) + offset + data[4 + length :])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
