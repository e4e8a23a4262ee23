from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ksmbd.wire.policy import MapToGuest
from mountd import conf
from mountd.conf import ConfError, load
from mountd.params import GLOBAL_KEYS, SHARE_KEYS


def write(folder: Path, text: str, name: str = "ksmbd.conf") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def warnings(path: str) -> list[str]:
    return [line.removeprefix(f"{path}:") for line in load(path).warnings]


def test_sections_and_keys_have_no_case_and_blanks_do_not_count(tmp_path: Path) -> None:
    text = "[GLOBAL]\n  Map  To\tGuest =  Bad   User  \n[Data]\n\tPATH=/srv/x/\n"
    loaded = load(write(tmp_path, text))
    assert loaded.globals.map_to_guest == MapToGuest.BAD_USER
    assert loaded.shares["data"][0] == "Data"
    assert loaded.shares["data"][1].path == "/srv/x"
    assert loaded.warnings == []


def test_sections_of_one_name_merge(tmp_path: Path) -> None:
    text = "[a]\npath=/a\n[b]\npath=/b\n[A]\ncomment=later\n"
    shares = load(write(tmp_path, text)).shares
    assert set(shares) == {"a", "b"}
    assert shares["a"][1].comment == "later"


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ("comment = a ; b", "a"),
        ("comment = a # b", "a"),
        ("comment = a#b;c", "a#b;c"),
        ('comment = "a # b"', "a # b"),
        ('comment = 5" disk # b', '5" disk'),
        ("comment = a \\\n  b", "a b"),
        ("comment = a \\\n", "a"),
        ("comment =", ""),
        ("comment = x = y", "x = y"),
        ("comment = Größe\r", "Größe"),
        ("; comment = a", ""),
        ("  # comment = a \\\ncomment = b", "b"),
    ],
)
def test_a_value_ends_where_a_comment_begins(tmp_path: Path, line: str, comment: str) -> None:
    loaded = load(write(tmp_path, f"[a]\npath = /a\n{line}"))
    assert loaded.shares["a"][1].comment == comment


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    assert load(write(tmp_path, "\ufeff[a]\npath=/a\n")).shares["a"]


def test_share_parameters_of_global_are_defaults(tmp_path: Path) -> None:
    text = "[global]\nwritable = yes\nguest ok = yes\n[a]\npath=/a\n[b]\npath=/b\nread only = yes\n"
    loaded = load(write(tmp_path, text))
    assert not loaded.shares["a"][1].read_only
    assert loaded.shares["b"][1].read_only
    assert loaded.shares["b"][1].guest_ok


def test_max_connections_and_guest_account_mean_two_things(tmp_path: Path) -> None:
    text = "[global]\nmax connections = 7\nguest account = g\n[a]\npath=/a\nmax connections = 3\n"
    loaded = load(write(tmp_path, text))
    assert loaded.globals.max_connections == 7
    assert loaded.shares["a"][1].max_connections == 3
    assert loaded.shares["a"][1].guest_account == ""


def test_the_first_of_equal_keys_counts_and_the_other_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "[a]\npath=/a\ncomment = \nguest ok=yes\npublic=no\n")
    loaded = load(path)
    assert loaded.shares["a"][1].guest_ok
    assert loaded.warnings == [f"{path}:5: 'guest ok' is set twice, line 4 counts"]


def test_read_only_goes_before_writable_wherever_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, "[a]\npath=/a\nwrite ok = yes\nwritable = yes\nread only = yes\n")
    assert load(path).shares["a"][1].read_only
    path = write(tmp_path, "[a]\npath=/a\nwrite ok = no\nwritable = yes\n")
    assert not load(path).shares["a"][1].read_only


def test_an_empty_value_leaves_the_default(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "[global]\ntcp port =\nnetbios name =\n"))
    assert loaded.globals.tcp_port == 445
    assert loaded.globals.netbios_name == "KSMBD SERVER"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[a]\npath=/a\nbogus = 1\n", "3: unknown parameter 'bogus' is ignored"),
        ("[a]\npath=/a\ntcp port=1\n", "3: 'tcp port' belongs into [global] and is ignored here"),
        ("[global]\nrealm = X\n", "2: unknown parameter 'realm' is ignored: there is no memb"),
        ("[global]\nsmbd max io size = 4M\n", "2: 'smbd max io size' has no effect"),
        ("[a]\npath=/a\nadmin users = bob\n", "3: 'admin users' has no effect on a share"),
        ("[a]\npath=/a\nrecycle:versions = yes\n", "3: 'recycle:versions' has no effect without"),
        ("[global]\nbind interfaces only = yes\n", "2: 'bind interfaces only' has no effect"),
        ("[printers]\nwritable=yes\n", "1: [printers] is not supported"),
        ("\n[a]\ncomment = x\n", "2: [a] has no path and is not served"),
        ("[a]\npath=/a\nvfs objects = catia acl_xattr\n", "1: [a]: vfs objects catia are not"),
        ("[a]\npath=/home/%2\n", "1: [a]: %2 in its parameters stands for nothing and stays"),
    ],
)
def test_what_has_no_effect_is_told(tmp_path: Path, text: str, warning: str) -> None:
    (told,) = warnings(write(tmp_path, text))
    assert told.startswith(warning)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("nonsense\n", 1, "expected [section] or key = value"),
        ("[a]\n= 1\n", 2, "expected [section] or key = value"),
        ("a = 1\n", 1, "'a' stands before the first [section]"),
        ("[a\n", 1, "expected ] at the end of the section's name"),
        ("[a] b\n", 1, "expected ] at the end of the section's name"),
        ("[]\n", 1, "a share's name has 1 to 80 characters"),
        ("[a/b]\n", 1, "a share's name is printable and without [ ] / \\"),
        ("[a]\nguest ok = maybe\n", 2, "guest ok = maybe: expected yes or no"),
        ("[a]\n\n\\\ncreate mask\\\n = 9\n", 3, "create mask = 9: expected an octal mode"),
        ("[global]\nserver signing = yes\n", 2, "server signing = yes: expected one of disabled"),
        ("[global]\n\nserver min protocol = SMB4\n", 3, "server min protocol = SMB4: expected one"),
        ("[global]\nserver max protocol = NT1\n", 2, "server max protocol = NT1: expected one"),
        (
            "[global]\nserver smb3 signing algorithms = AES-128-GMAC MD5\n",
            2,
            "server smb3 signing algorithms = AES-128-GMAC MD5: expected a list out of",
        ),
        (
            "[global]\nserver smb3 encryption algorithms = AES-512-GCM\n",
            2,
            "server smb3 encryption algorithms = AES-512-GCM: expected a list out of",
        ),
        ("[global]\ninclude = none.conf\n", 2, "include: there is no file"),
        ("[global]\ninclude =\n", 2, "include: expected a file"),
        ("[global]\n\ninclude = /etc/ksmbd/%m.conf\n", 3, "include: %m cannot stand here"),
        ("[global]\ninclude = %U-%I.%h.conf\n", 2, "include: %I %U cannot stand here"),
        ("[global]\ninclude = %L.conf\n", 2, "%h and %v can"),
        ("[a]\nhosts deny = @evil\n", 2, "LOCAL, EXCEPT; here is '@evil'"),
        (
            "[global]\nserver min protocol=SMB3_11\nserver max protocol=SMB2_10\n",
            1,
            "server min protocol SMB3_11 is above server max SMB2_10",
        ),
    ],
)
def test_an_error_has_file_line_and_what_was_expected(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfError) as refused:
        load(path)
    assert (refused.value.file, refused.value.line) == (path, line)
    assert why in refused.value.why
    assert str(refused.value).startswith(f"{path}:{line}: ")


WRONG = {  # by converter: a parameter of [global] or of a share, and what it cannot be
    "below": ("recycle:repository", "../bin", "a path inside the share"),
    "boolean": ("guest ok", "maybe", "yes or no"),
    "choice": ("map to guest", "sometimes", "one of never, bad user"),
    "count": ("max open files", "many", "a size such as"),
    "directory": ("metrics file", "%H/metrics", "an absolute path"),
    "duration": ("deadtime", "1 fortnight", "a time such as 10 (minutes) or 2h"),
    "guest": ("default unix user", "x" * 48, "1 to 47 bytes"),
    "hosts": ("hosts allow", "10.0.0.256", "addresses, networks (10.0.0.0/8"),
    "integer": ("restrict anonymous", "3", "a number from 0 to 2"),
    "interfaces": ("interfaces", '"eth0;speed=fast"', "names, addresses, networks"),
    "name": ("volume", "x" * 33, "1 to 32 bytes"),
    "octal": ("create mask", "0888", "an octal mode"),
    "operations": ("full_audit:success", "opn", "a list out of all, none, connect"),
    "own_endpoint": ("metrics address", "0.0.0.0:9445", "127.0.0.1:PORT"),
    "prefix": ("full_audit:prefix", "%T", "a text with %u"),
    "port": ("tcp port", "445 446", "one port, a number from 0 to 65535"),
    "server_operations": ("audit log success", "open", "a list out of all, none, logon"),
    "served_directory": ("path", "srv", "an absolute path"),
    "size": ("recycle:maxsize", "4X", "a size such as"),
    "sized": ("smb2 max read", "1K", "64K to 8M"),
    "subset": ("server smb3 signing algorithms", "MD5", "a list out of AES-128-GMAC"),
    "time_format": ("shadow:format", "daily", "the name of a directory with parts of a time"),
    "words": ("valid users", '"alice', "a list whose quotation marks are closed"),
}
REFUSES_NOTHING = {"text", "veto"}


def kind(convert: Callable[[str], object]) -> str:
    return convert.__qualname__.partition(".")[0]


def test_each_kind_of_value_has_one_that_is_wrong() -> None:
    every = {kind(param.convert) for table in (GLOBAL_KEYS, SHARE_KEYS) for param in table.values()}
    assert every == WRONG.keys() | REFUSES_NOTHING
    for name, (key, _, _) in WRONG.items():
        assert kind((GLOBAL_KEYS.get(key) or SHARE_KEYS[key]).convert) == name


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_of_each_kind_is_an_error_with_its_line(tmp_path: Path, name: str) -> None:
    key, value, expected = WRONG[name]
    section = "[global]" if key in GLOBAL_KEYS else "[a]\ncomment = x"
    path = write(tmp_path, f"; the first line\n{section}\n{key} = {value}\n")
    line = 3 if key in GLOBAL_KEYS else 4
    with pytest.raises(ConfError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}:{line}: {key} = {value}: expected {expected}")


def test_bytes_that_are_no_utf8_have_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(b"[a]\npath = /\xff\n")
    with pytest.raises(ConfError, match=":2: expected UTF-8"):
        load(str(path))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfError, match="No such file"):
        load(str(tmp_path / "none"))


def test_an_included_file_stands_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, "comment = from b\n[c]\npath = /c\n", "sub/b.conf")
    path = write(tmp_path, "[a]\npath=/a\ninclude = sub/b.conf\nguest ok = yes\n")
    shares = load(path).shares
    assert shares["a"][1].comment == "from b"
    assert shares["a"][1].guest_ok
    assert set(shares) == {"a", "c"}


def test_the_registry_of_samba_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, "[global]\ninclude = Registry\n[a]\npath=/a\n")
    found = load(path)
    assert found.warnings == [f"{path}:2: include = registry is ignored: there is no registry"]
    assert set(found.shares) == {"a"}


COPIED = """\
[first]
path = /first
valid users = alice
read only = no
bogus = 1
[second]
path = /second
COPY = First
public = yes
[third]
copy = second
guest ok = no
"""


def test_a_section_is_copied_but_for_what_the_copy_says_itself(tmp_path: Path) -> None:
    found = load(write(tmp_path, COPIED))
    second, third = found.shares["second"][1], found.shares["third"][1]
    assert (second.path, second.valid_users, second.guest_ok) == ("/second", ("alice",), True)
    assert (third.path, third.valid_users, third.guest_ok) == ("/second", ("alice",), False)
    assert not second.read_only
    assert [warning.partition(": ")[2] for warning in found.warnings] == [
        "unknown parameter 'bogus' is ignored"
    ]
    assert found.origins["third"]["valid_users"].line == 3


@pytest.mark.parametrize("text", ["[a]\npath=/a\ncopy = b\n[b]\npath=/b\n", "[a]\ncopy = global\n"])
def test_what_is_not_there_yet_cannot_be_copied(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfError, match="copy: there is no share") as refused:
        load(write(tmp_path, text))
    assert refused.value.line == text[: text.index("copy")].count("\n") + 1


def test_a_default_of_all_shares_is_no_copy(tmp_path: Path) -> None:
    path = write(tmp_path, "[global]\ncopy = a\n[a]\npath=/a\n")
    assert load(path).warnings == [f"{path}:2: unknown parameter 'copy' is ignored"]


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    inner = write(tmp_path, "\n[a]\nread only = x\n", "b.conf")
    path = write(tmp_path, "[global]\ninclude = b.conf\n")
    with pytest.raises(ConfError) as refused:
        load(path)
    assert (refused.value.file, refused.value.line) == (inner, 3)


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "[global]\ninclude = ksmbd.conf\n", "b.conf")
    with pytest.raises(ConfError, match="includes itself"):
        load(write(tmp_path, "[global]\ninclude = b.conf\n"))


def test_a_chain_of_files_has_an_end(tmp_path: Path) -> None:
    for number in range(conf.MAX_DEPTH + 1):
        write(tmp_path, f"[a]\ninclude = {number + 1}.conf\n", f"{number}.conf")
    write(tmp_path, "[a]\npath = /a\n", f"{conf.MAX_DEPTH + 1}.conf")
    assert load(str(tmp_path / "2.conf")).shares["a"][1].path == "/a"
    with pytest.raises(ConfError) as refused:
        load(str(tmp_path / "1.conf"))
    assert refused.value.file == str(tmp_path / f"{conf.MAX_DEPTH}.conf")
    assert refused.value.line == 2
    assert refused.value.why == f"include: no more than {conf.MAX_DEPTH} files in one another"


def test_files_that_multiply_have_an_end(tmp_path: Path) -> None:
    """Ten levels of two lines each would be 1023 files."""
    for number in range(10):
        write(tmp_path, f"[a]\ninclude = {number + 1}.conf\n" * 2, f"{number}.conf")
    write(tmp_path, "[a]\npath = /a\n", "10.conf")
    with pytest.raises(ConfError, match=f"no more than {conf.MAX_FILES} files$"):
        load(str(tmp_path / "0.conf"))


def test_one_file_may_be_included_twice(tmp_path: Path) -> None:
    write(tmp_path, "guest ok = yes\n", "b.conf")
    text = "[a]\npath=/a\ninclude=b.conf\n[b]\npath=/b\ninclude=b.conf\n"
    shares = load(write(tmp_path, text)).shares
    assert shares["a"][1].guest_ok
    assert shares["b"][1].guest_ok


def test_the_first_file_that_exists_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = (str(tmp_path / "ksmbd.conf"), str(tmp_path / "smb.conf"))
    monkeypatch.setattr(conf, "SEARCH", search)
    assert conf.find() == search[0]
    write(tmp_path, "", "smb.conf")
    assert conf.find() == search[1]
    assert conf.find("other") == "other"
