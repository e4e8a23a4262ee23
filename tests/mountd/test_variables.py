"""mountd/variables.py, and what becomes of a share that is another for each client."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd import __version__
from ksmbd.wire import ipc
from ksmbd.wire.ipc import ShareConfigRequest, ShareConfigResponse, TreeStatus
from mountd import variables, worker
from mountd.conf import load
from mountd.params import GlobalParams, ShareParams
from mountd.state import State
from mountd.variables import Client, Unsafe
from mountd.worker import Services
from tests.mountd.fakes import make_state
from tests.mountd.test_login import connect


class Everybody:
    """Who is who."""

    def home(self, name: str) -> str:
        return {"alice": "/home/alice", "tilde": "/home/../etc", "nobody": "/"}.get(name, "")

    def first_group(self, name: str) -> str:
        return {"alice": "staff", "mail": "mail"}.get(name, "")

    def host_name(self, address: str) -> str:
        return "pc.example.org" if address == "10.0.0.1" else ""


ALICE = Client("alice", "10.0.0.1", "PC-1")


def values(text: str, client: Client = ALICE, **params: str) -> str:
    """*text* as a share's comment, for *client*."""
    made = ShareParams(comment=text, **params)  # type: ignore[arg-type]
    return variables.in_share(made, variables.of_share(made, client, Everybody())).comment


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("%U %u %G %g %H %I %M %m", "alice alice staff staff /home/alice 10.0.0.1 "
         "pc.example.org pc-1"),
        ("100%% of %U%U", "100% of alicealice"),
        ("%%U %", "%U %"),
        ("%x %2", "%x %2"),
    ],
)  # fmt: skip
def test_each_variable_has_its_value(text: str, expanded: str) -> None:
    assert values(text) == expanded


def test_every_variable_is_documented_and_has_a_value() -> None:
    letters = "".join(f"%{letter}" for letter in variables.CLIENT)
    assert "%" not in values(letters)
    server = variables.of_server(GlobalParams())
    assert server.keys() == variables.SERVER.keys()
    assert server == {
        "D": "WORKGROUP", "L": "KSMBD SERVER", "h": os.uname().nodename, "v": __version__
    }  # fmt: skip


def test_a_machine_that_says_nothing_goes_by_its_address() -> None:
    assert values("%m %M", Client("alice", "::1")) == "::1 ::1"


def test_force_user_is_whom_the_share_is_used_as() -> None:
    assert values("%U %u %g", force_user="mail") == "alice mail mail"
    assert values("%u", Client("nobody", "::1", user="ftp")) == "ftp"
    assert values("%u", force_user="%U") == "alice"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../root", "a/b", "/etc", "a\\b", "..\\a", ".ssh", "@staff", "+staff",
     "&staff", " a", "a\0b", "a\nb", "x" * 256],
)  # fmt: skip
@pytest.mark.parametrize("letter", ["U", "u", "m"])
def test_a_value_is_one_component_of_a_path_or_refused(letter: str, name: str) -> None:
    """The class of Samba's CVE-2012-1182 and its like: names that clients choose in paths."""
    client = Client(name, "10.0.0.1") if letter != "m" else Client("alice", "10.0.0.1", name)
    if letter == "m" and not name:  # the address stands for it
        assert values("%m", client) == "10.0.0.1"
        return
    with pytest.raises(Unsafe):
        values(f"/srv/%{letter}", client)


@pytest.mark.parametrize("account", ["tilde", "nobody", "stranger"])
def test_what_is_no_home_directory_is_not_served(account: str) -> None:
    with pytest.raises(Unsafe):
        values("%H", Client(account, "::1"))


def test_what_nobody_uses_is_not_looked_at() -> None:
    assert values("%I", Client("../x", "::1", "../y")) == "::1"


def test_values_are_kept_in_one_text() -> None:
    packed = variables.pack({"U": "a&b=c d", "H": "/home/ü"})
    assert variables.unpack(packed) == {"U": "a&b=c d", "H": "/home/ü"}
    assert variables.pack({"H": "1", "U": "2"}) == variables.pack({"U": "2", "H": "1"})
    with pytest.raises(Unsafe):
        variables.unpack(variables.pack({"U": "../x"}))


# -- the file ----------------------------------------------------------------------------


def test_the_servers_variables_are_known_when_the_file_is_read(tmp_path: Path) -> None:
    host = os.uname().nodename
    (tmp_path / f"{host}.conf").write_text("netbios name = FILES\n")
    path = tmp_path / "ksmbd.conf"
    path.write_text("[global]\ninclude = %h.conf\nserver string = %L, 100%% v%v of %D\n")
    found = load(str(path))
    assert found.globals.server_string == f"FILES, 100% v{__version__} of WORKGROUP"
    assert found.warnings == []


def test_what_is_no_variable_is_told_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "ksmbd.conf"
    path.write_text("[a]\npath = /srv/%20\ncomment = %q%%z\n")
    found = load(str(path))
    (warning,) = found.warnings
    assert warning == f"{path}:1: [a]: %2 %q in its parameters stands for nothing and stays"


# -- shares ------------------------------------------------------------------------------


def config(state: State, name: str, variant: str) -> ShareConfigResponse:
    services = Services(state, lambda size: bytes(size))
    answer = worker.share_config(services, ShareConfigRequest(handle=1, name=name, variant=variant))
    assert isinstance(answer, ShareConfigResponse)
    return answer


def test_a_share_without_variables_is_one_for_all(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[a]\npath = /srv/%S/%L\ncomment = 5%%\n")
    assert connect(state, share="a").variant == ""
    answer = config(state, "a", "")
    assert (answer.path, answer.comment) == ("/srv/a/KSMBD SERVER", "5%")


def test_each_client_has_a_directory_of_its_own(tmp_path: Path) -> None:
    text = "[global]\nroot directory = /srv\n[a]\npath=/%U/%m\nforce user=%U\nvalid users=%U bob\n"
    state = make_state(tmp_path, text)
    alice = connect(state, share="A", machine="PC")
    bob = connect(state, share="a", account="bob", session_id=2)
    assert (alice.status, bob.status) == (TreeStatus.OK, TreeStatus.OK)
    assert alice.variant != bob.variant
    answer = config(state, "a", alice.variant)
    assert (answer.name, answer.path, answer.force_uid) == ("a", "/srv/alice/pc", 1000)
    assert config(state, "a", bob.variant).path == "/srv/bob/10.0.0.1"


def test_the_same_client_has_the_same_variant(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[a]\npath = /srv/%U\n")
    first = connect(state, share="a", peer="10.0.0.1")
    assert connect(state, share="a", peer="10.0.0.2", session_id=2).variant == first.variant


@pytest.mark.parametrize("machine", ["..", "../../etc", "a\\..\\b", ".", "x" * 300])
def test_no_name_of_a_client_leads_out_of_the_path(tmp_path: Path, machine: str) -> None:
    state = make_state(tmp_path, "[a]\npath = /srv/%m\n")
    assert connect(state, share="a", machine=machine).status == TreeStatus.NO_SHARE
    assert len(state.sessions) == 0


def test_without_its_values_such_a_share_is_not_told(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[a]\npath = /srv/%U\n[b]\npath = /srv/b\n")
    assert config(state, "a", "").flags == 0
    assert config(state, "a", variables.pack({"m": "pc"})).flags == 0
    assert config(state, "c", variables.pack({"U": "alice"})).flags == 0
    assert config(state, "b", "").flags != 0


def test_lists_of_users_have_variables(tmp_path: Path) -> None:
    text = "[cooks]\npath = /srv\nvalid users = @%S\n[alice]\npath=/srv/%U\ninvalid users = %S\n"
    state = make_state(tmp_path, text)
    assert connect(state, share="cooks").status == TreeStatus.INVALID_USER
    assert connect(state, share="cooks", account="bob").status == TreeStatus.OK
    assert connect(state, share="alice", session_id=2).status == TreeStatus.INVALID_USER


def test_a_reload_that_changes_the_servers_name_changes_the_share(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[a]\npath = /srv/%U/%L\n")
    (tmp_path / "ksmbd.conf").write_text("[global]\nnetbios name = X\n[a]\npath = /srv/%U/%L\n")
    assert state.reload().changed == ("a",)
    answer = connect(state, share="a")
    assert answer.connection_flags & ipc.TREE_UPDATE
    assert config(state, "a", answer.variant).path == "/srv/alice/X"
    assert not connect(state, share="a", connect_id=2).connection_flags & ipc.TREE_UPDATE


# -- [homes] -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["homes", "alice", "ALICE"])
def test_homes_is_the_home_directory_of_the_account(tmp_path: Path, name: str) -> None:
    state = make_state(tmp_path, "[homes]\nread only = no\n")
    answer = connect(state, share=name)
    assert (answer.status, answer.connection_flags) == (TreeStatus.OK, ipc.TREE_WRITABLE)
    told = config(state, name, answer.variant)
    assert (told.name, told.path) == ("alice", "/home/alice")
    assert [tree.share for tree in state.sessions.trees()] == ["alice"]


@pytest.mark.parametrize(
    ("share", "changes"),
    [
        ("alice", {"account": "bob"}),  # somebody else's
        ("homes", {"account": "bob"}),  # without a home directory
        ("homes", {"account": "nobody", "account_flags": ipc.USER_OK | ipc.USER_GUEST}),
        ("nobody", {"account": "nobody", "account_flags": ipc.USER_OK | ipc.USER_GUEST}),
    ],
)
def test_nobody_gets_the_home_of_another(
    tmp_path: Path, share: str, changes: dict[str, object]
) -> None:
    state = make_state(tmp_path, "[homes]\nguest ok = yes\n")
    assert connect(state, share=share, **changes).status == TreeStatus.NO_SHARE


def test_homes_may_lie_elsewhere_and_a_real_share_goes_first(tmp_path: Path) -> None:
    state = make_state(tmp_path, "[homes]\npath = /data/%S\n[bob]\npath = /srv/bob\n")
    answer = connect(state, share="alice")
    assert config(state, "alice", answer.variant).path == "/data/alice"
    assert connect(state, share="bob", account="bob", session_id=2).variant == ""
    assert config(state, "homes", "").flags == 0
    other = connect(state, share="homes", account="bob", session_id=3)
    assert config(state, "homes", other.variant).path == "/data/bob"
