"""What the configuration says of shares and users, as clients and the disk see it.

The accounts are named after users that every Debian has, so that the server acts as them.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import SmbClient, account, program, run
from tests.support.live import PASSWORD, LiveServer, LiveShare

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users"),
]

ONE, OTHER, FORCED = "daemon", "games", "mail"


def shares(folder: Path) -> list[LiveShare]:
    def share(name: str, **options: str) -> LiveShare:
        said = {"read only": "no"} | {key.replace("_", " "): options[key] for key in options}
        return LiveShare(name, folder / name, said)

    return [
        share("plain", create_mask="0640", directory_mask="0750"),
        share("modes", force_create_mode="0060", create_mask="0600", force_directory_mode="0007"),
        share("forced", force_user=FORCED, force_group=FORCED),
        share("veto", veto_files="/*.tmp/secret/", hide_dot_files="no"),
        share("mine", valid_users=ONE),
        share("notyours", invalid_users=OTHER),
        share("readers", read_list=OTHER),
        share("writers", read_only="yes", write_list=ONE),
        share("public", guest_ok="yes"),
        share("two", max_connections="2"),
        share("elsewhere", hosts_deny="127.0.0.0/8"),
        share("own-%U", comment="of %U at %m"),
        LiveShare("homes", folder / "home" / "%S", {"read only": "no", "valid users": "%S"}),
        share("sees", hide_unreadable="yes", create_mask="0600", directory_mask="0700"),
        share("listed", access_based_share_enum="yes", valid_users=ONE),
    ]


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "parameters"
    folder.mkdir()
    for parent in (folder, *folder.parents):
        if not stat.S_IMODE(parent.stat().st_mode) & 0o001:
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | 0o011)
    users = {ONE: PASSWORD, OTHER: PASSWORD}
    globals_ = {"map to guest": "bad user", "guest account": "nobody"}
    with LiveServer(
        folder, shares=shares(folder), users=users, globals_=globals_, options=["--bind", "::1"]
    ) as running:
        for share in running.shares:
            share.path.chmod(0o777)
        yield running


def client(server: LiveServer, share: str, user: str, folder: Path, *options: str) -> SmbClient:
    return SmbClient(server, options=options, user=user, share=share, folder=folder)


def owner(path: Path) -> str:
    return pwd.getpwuid(path.stat().st_uid).pw_name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_belong_to_the_account_that_makes_them(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    client(server, "plain", ONE, tmp_path).ok("mkdir d; put a d\\a")
    made = server.path("plain") / "d" / "a"
    assert (owner(made), owner(made.parent)) == (ONE, ONE)
    assert (mode(made), mode(made.parent)) == (0o640, 0o750)


def test_what_one_user_keeps_to_himself_another_cannot_read(
    server: LiveServer, tmp_path: Path
) -> None:
    (tmp_path / "own").write_text("data")
    client(server, "plain", ONE, tmp_path).ok("put own")
    stranger = client(server, "plain", OTHER, tmp_path)
    assert "NT_STATUS_ACCESS_DENIED" in stranger.run("get own stolen")
    assert "NT_STATUS_ACCESS_DENIED" in stranger.run("put own own")
    assert not (tmp_path / "stolen").exists()
    (server.path("plain") / "own").chmod(0o644)
    stranger.ok("get own given")


def test_modes_are_masked_and_forced(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    client(server, "modes", ONE, tmp_path).ok("put a; mkdir d")
    assert mode(server.path("modes") / "a") == 0o660
    assert mode(server.path("modes") / "d") == 0o757


def test_forced_users_and_groups_own_everything(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    client(server, "forced", OTHER, tmp_path).ok("put a; get a back; del a; put a")
    made = (server.path("forced") / "a").stat()
    assert (made.st_uid, made.st_gid) == pwd.getpwnam(FORCED)[2:4]


def test_vetoed_names_are_not_there_and_cannot_be_made(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "x.tmp").write_text("data")
    (tmp_path / "plain").write_text("data")
    (server.path("veto") / "old.TMP").write_text("hidden")
    (server.path("veto") / "secret").mkdir(exist_ok=True)
    (server.path("veto") / "secret" / "in").write_text("hidden")
    one = client(server, "veto", ONE, tmp_path)
    listing = one.ok("put plain; ls")
    assert "plain" in listing
    assert "old.TMP" not in listing
    assert "secret" not in listing
    assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in one.run("get old.TMP")
    assert "NT_STATUS_OBJECT_PATH_NOT_FOUND" in one.run("get secret\\in")
    refused = one.run("put x.tmp")
    assert "NT_STATUS_ACCESS_DENIED" in refused or "NT_STATUS_OBJECT_NAME_NOT_FOUND" in refused
    assert "NT_STATUS_" in one.run("rename plain plain.tmp")
    assert (server.path("veto") / "plain").exists()


def test_each_user_sees_what_they_may_read(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    for user in (ONE, OTHER):
        client(server, "sees", user, tmp_path).ok(f"put a {user}.txt; mkdir {user}.d")
    for user, stranger in ((ONE, OTHER), (OTHER, ONE)):
        listing = client(server, "sees", user, tmp_path).ok("ls")
        assert f"{user}.txt" in listing
        assert f"{user}.d" in listing
        assert stranger not in listing
    (server.path("sees") / f"{OTHER}.txt").chmod(0o644)
    assert f"{OTHER}.txt" in client(server, "sees", ONE, tmp_path).ok("ls")
    refused = client(server, "sees", ONE, tmp_path).run(f"ls {OTHER}.d\\*")
    assert "NT_STATUS_ACCESS_DENIED" in refused


def test_a_share_that_lists_by_access_says_so(server: LiveServer) -> None:
    for share, flags in (("sees", 0x800), ("plain", 0)):
        command = [
            program("rpcclient"), *("-p", str(server.port), server.host),
            *("-U", f"{ONE}%{PASSWORD}", "-c", f"netsharegetinfo {share} 1005"),
        ]  # fmt: skip
        answer = run(command)
        assert answer.status == 0, answer.text
        assert f"flags: {flags:#x}\n" in answer.text, answer.text


@pytest.mark.parametrize(("user", "shown"), [(ONE, True), (OTHER, False)])
def test_a_share_is_listed_for_those_it_is_for(server: LiveServer, user: str, shown: bool) -> None:
    command = [
        program("smbclient"), *("-L", server.host, "-p", str(server.port), "-g"),
        *("-U", f"{user}%{PASSWORD}"),
    ]  # fmt: skip
    answer = run(command)
    assert "Disk|plain|" in answer.text, answer.text
    assert ("Disk|listed|" in answer.text) == shown


def test_dot_files_are_hidden_unless_told(server: LiveServer, tmp_path: Path) -> None:
    for share in ("plain", "veto"):
        (server.path(share) / ".dot").write_text("")
        (server.path(share) / ".dot").chmod(0o644)
    line = client(server, "plain", ONE, tmp_path).ok("ls .dot").splitlines()[0].split()
    assert "H" in line[1]
    line = client(server, "veto", ONE, tmp_path).ok("ls .dot").splitlines()[0].split()
    assert "H" not in line[1]


@pytest.mark.parametrize(
    ("share", "user", "may_write"),
    [
        ("readers", ONE, True),
        ("readers", OTHER, False),
        ("writers", ONE, True),
        ("writers", OTHER, False),
    ],
)
def test_lists_of_readers_and_writers(
    server: LiveServer, tmp_path: Path, share: str, user: str, may_write: bool
) -> None:
    (tmp_path / "a").write_text("data")
    answer = client(server, share, user, tmp_path).run(f"put a {user}.txt; ls")
    assert ("NT_STATUS_ACCESS_DENIED" not in answer) == may_write, answer.text
    assert (server.path(share) / f"{user}.txt").exists() == may_write


@pytest.mark.parametrize(("share", "user"), [("mine", OTHER), ("notyours", OTHER)])
def test_users_a_share_is_not_for(
    server: LiveServer, tmp_path: Path, share: str, user: str
) -> None:
    assert "NT_STATUS_ACCESS_DENIED" in client(server, share, user, tmp_path).run("ls")
    client(server, share, ONE, tmp_path).ok("ls")


def test_hosts_a_share_is_not_for(server: LiveServer, tmp_path: Path) -> None:
    assert "NT_STATUS_ACCESS_DENIED" in client(server, "elsewhere", ONE, tmp_path).run("ls")


def test_unknown_users_are_guests_where_guests_may_be(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("data")
    client(server, "public", "nosuchuser", tmp_path).ok("put a; ls")
    assert owner(server.path("public") / "a") == "nobody"
    assert "NT_STATUS_ACCESS_DENIED" in client(server, "plain", "nosuchuser", tmp_path).run("ls")


def test_a_wrong_password_makes_no_guest(server: LiveServer, tmp_path: Path) -> None:
    intruder = SmbClient(server, user=ONE, password="wrong", share="public", folder=tmp_path)
    assert "NT_STATUS_LOGON_FAILURE" in intruder.run("ls")


def test_the_share_is_there_on_ipv6(server: LiveServer, tmp_path: Path) -> None:
    client(server, "public", ONE, tmp_path, "-I", "::1").ok("ls")


def test_a_client_that_begins_with_smb1_comes_up_to_smb2(
    server: LiveServer, tmp_path: Path
) -> None:
    client(server, "public", ONE, tmp_path, "--option=client min protocol=NT1").ok("ls")


def test_each_account_has_a_directory_of_its_own(server: LiveServer, tmp_path: Path) -> None:
    """``path = .../own-%U``: two sessions, one name of a share, two directories."""
    (tmp_path / "a").write_text("data")
    for user in (ONE, OTHER):
        own = server.folder / f"own-{user}"
        own.mkdir(mode=0o700)
        os.chown(own, pwd.getpwnam(user).pw_uid, -1)
        client(server, "own-%U", user, tmp_path).ok(f"put a of-{user}")
        assert [path.name for path in own.iterdir()] == [f"of-{user}"]
        assert owner(own / f"of-{user}") == user


def test_homes_is_a_share_of_each_account(server: LiveServer, tmp_path: Path) -> None:
    home = server.folder / "home" / ONE
    home.mkdir(mode=0o700)
    os.chown(home, pwd.getpwnam(ONE).pw_uid, -1)
    (tmp_path / "a").write_text("data")
    client(server, "homes", ONE, tmp_path).ok("put a")
    assert "a" in client(server, ONE, ONE, tmp_path).ok("ls")
    command = [program("smbclient"), "-g", "-L", f"//{server.host}", "-p", str(server.port)]
    listed = run([*command, *account(ONE)]).text
    assert f"Disk|{ONE}|" in listed
    assert f"Disk|own-%U|of {ONE} at " in listed
    assert "homes" not in listed
    for share in (ONE, "homes"):  # another's, and one that has no directory
        refused = client(server, share, OTHER, tmp_path).run("ls")
        assert "NT_STATUS_BAD_NETWORK_NAME" in refused
