"""Passwords, hashes and keys reach no log line, no status and no repr, however much is logged."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from smbprotocol.connection import Connection
from smbprotocol.exceptions import LogonFailure
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from ksmbd.crypto.md4 import nt_hash
from ksmbd.ipc.requests import LoginReply, SpnegoReply, login_reply, spnego_reply
from ksmbd.server.pool import PoolFigures
from ksmbd.server.report import report
from ksmbd.wire import ipc
from ksmbd.wire.secret import Secret
from ksmbd.wire.spnego import KERBEROS, NTLMSSP, build_init
from mountd import login
from mountd.krb5 import Ticket
from mountd.params import GlobalParams
from tests.auth import client as ntlm
from tests.mountd.fakes import HASH, make_state
from tests.support.client import Client, nobody, ready
from tests.support.engine import Engine
from tests.support.live import ROOT, LiveServer
from tests.support.mountd import User
from tests.support.secrets import forms, found

PASSWORD: Final = 'Gr\u00fcn&\u2603 kr\u00e4ht "leise"%7'
WRONG: Final = "Vi\u00f6l\u00e4 schn\u00fcffelt's nie!"
NEW: Final = "Sch\u00e4fchen z\u00e4hlen hilft 42-mal"
KEY: Final = bytes(range(0x81, 0x91))


@pytest.fixture
def talkative(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("ksmbd", "mountd"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def everything(value: object, depth: int = 3) -> Iterator[str]:
    """repr() of an object and of what it holds."""
    yield repr(value)
    if not depth or isinstance(value, (str, bytes, int, float)):
        return
    names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in names | set(getattr(value, "__dict__", {})):
        held = getattr(value, name, None)
        module = type(held).__module__
        if module.startswith("ksmbd") or isinstance(held, (dict, tuple, list, bytes)):
            yield from everything(held, depth - 1)


# -- the test itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "key 8182838485868788898a8b8c8d8e8f90",
        "key 81:82:83:84:85:86:87:88:89:8A:8B:8C:8D:8E:8F:90",
        "key gYKDhIWGh4iJiouMjY6PkA==",
        f"key {KEY!r}",
        f"key {list(KEY)}",
        "key " + KEY.decode("latin-1"),
    ],
)
def test_a_key_is_found_however_it_is_written(line: str) -> None:
    assert found(line, KEY)


# -- ksmbd -------------------------------------------------------------------------------


def attempts(engine: Engine) -> Client:
    """Log-ons of every kind; a session is left."""
    engine.mountd.users["joe"] = User("joe", password=PASSWORD)
    engine.server.settings = engine.server.settings.__class__(kerberos=True)
    client = Client(engine)
    client.negotiate()
    client.try_log_on(ntlm.Client(password=WRONG))
    client.try_log_on(ntlm.Client("stranger", password=WRONG))
    client.try_log_on(ntlm.Client(password=PASSWORD, wrong_mic=True))
    client.try_log_on(nobody())
    client.call(client.frames.session_setup(build_init([KERBEROS], mech_token=KEY)))
    client.call(client.frames.session_setup(build_init([NTLMSSP], mech_token=KEY)))
    client.log_on(password=PASSWORD)
    client.connect()
    client.open("file")
    return client


def test_no_log_on_leaves_a_trace(engine: Engine, talkative: pytest.LogCaptureFixture) -> None:
    client = attempts(engine)
    session = engine.server.sessions[client.frames.session_id]
    first = client.call(client.frames.session_setup(ntlm.Client(password=WRONG).negotiate()))
    wrong = ntlm.Client(password=WRONG).authenticate(first.token())
    client.call(client.frames.session_setup(wrong))
    assert "log-on refused" in talkative.text
    assert found(talkative.text, PASSWORD, WRONG, nt_hash(PASSWORD), nt_hash(WRONG)) == []
    assert found(talkative.text, ntlm.SESSION_KEY, KEY) == []
    assert found(talkative.text, session.session_key, session.application_key) == []


def test_nothing_that_holds_a_key_shows_it(engine: Engine) -> None:
    client = attempts(engine)
    server = engine.server
    session = server.sessions[client.frames.session_id]
    keys = [nt_hash(PASSWORD), ntlm.SESSION_KEY, session.session_key, session.application_key]
    assert all(keys)
    shown = "\n".join(everything(session)) + "\n".join(everything(client.connection))
    shown += "\n".join(everything(engine.mountd.users["joe"].reply()))
    assert found(shown, *keys) == []
    rows = report(server, [], PoolFigures(*range(len(PoolFigures._fields))), direct=True)
    assert "joe" in json.dumps(rows)
    assert found(json.dumps(rows), *keys) == []


def test_a_bug_while_logging_on_shows_no_key_in_its_traceback(
    folder: Path, talkative: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ready(Engine(folder))

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("ksmbd.commands.session_setup.kdf.signing_key", fail)
    client.try_log_on(ntlm.Client())
    assert "Traceback" in talkative.text
    assert found(talkative.text, ntlm.JOE.nt_hash, ntlm.SESSION_KEY) == []


# -- between the daemons, and mountd -----------------------------------------------------


def test_messages_and_answers_do_not_show_hashes_and_keys() -> None:
    reply = ipc.parse(ipc.LoginResponse(handle=1, status=1, account="joe", hash=KEY).pack())
    ticket = ipc.SpnegoAuthenResponse(handle=1, status=1, account="joe", session_key=KEY)
    ticket = ipc.parse(ticket.pack())  # type: ignore[assignment]
    assert isinstance(reply, ipc.LoginResponse)
    shown: list[LoginReply | SpnegoReply | ipc.Message] = [reply, ticket]
    shown += [login_reply(reply), spnego_reply(ticket)]
    for each in shown:
        assert "joe" in repr(each)
        assert not found(repr(each), KEY)


def test_mountd_shows_no_hash_and_no_key(
    tmp_path: Path, talkative: pytest.LogCaptureFixture
) -> None:
    state = make_state(tmp_path, "[global]\nkerberos support = yes\n")
    shown = repr(state.files) + repr(login.login(state, 1, "alice", "::1"))
    ticket = Ticket("alice@EXAMPLE", "EXAMPLE", Secret(KEY), b"", 0)

    def accept(_token: bytes, _params: GlobalParams) -> Ticket:
        return ticket

    request = ipc.SpnegoAuthenRequest(handle=1, token=KEY, peer="::1")
    shown += repr(ticket) + repr(login.kerberos(state, request, accept))
    login.kerberos(state, request)  # the real one, which refuses it
    assert "alice" in shown
    assert found(shown + talkative.text, HASH, KEY) == []


# -- the running server ------------------------------------------------------------------


def tool(server: LiveServer, *words: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(
        command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@pytest.mark.interop
def test_a_running_server_at_its_most_talkative_tells_nothing(real_folder: Path) -> None:
    folder = real_folder / "talkative"
    folder.mkdir()
    users = {"tester": PASSWORD, "tester2": NEW}
    with LiveServer(folder, users=users, options=["-v"]) as server:
        files = ["-P", str(server.accounts), "-C", str(server.configuration)]
        said = tool(server, "control.adduser", *files, "-v", "-p", "-", "late", stdin=WRONG + "\n")
        keys: list[bytes] = [nt_hash(password) for password in (PASSWORD, WRONG, NEW)]
        for user, password, encrypt in (
            ("tester", PASSWORD, False), ("tester2", NEW, True),
            ("tester", WRONG, False), ("stranger", WRONG, False),
        ):  # fmt: skip
            connection = Connection(uuid.uuid4(), server.host, server.port)
            connection.connect()
            session = Session(connection, user, password, require_encryption=encrypt)
            if password == WRONG:
                with pytest.raises(LogonFailure):
                    session.connect()
                continue
            session.connect()
            TreeConnect(session, rf"\\{server.host}\share").connect()
            keys += [session.session_key, session.signing_key, session.application_key]
            keys += [key for key in (session.encryption_key, session.decryption_key) if key]
            run_dir = ["--run-dir", str(server.run_folder)]
            said += tool(server, "control", *run_dir, "status", "--json")
            said += tool(server, "control", *run_dir, "status")
            connection.disconnect()
        log = server.log_text()
    assert "DEBUG" in log
    assert "tester" in said
    assert len(keys) == 3 + 2 * 5
    assert found(log + said, PASSWORD, WRONG, NEW, *keys) == []


def test_forms_are_long_enough_to_mean_something() -> None:
    for secret in (PASSWORD, WRONG, NEW, KEY, HASH):
        assert min(map(len, forms(secret))) >= 16
