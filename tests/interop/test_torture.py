"""smbtorture's suites against the running server, case by case, and the runner itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop import torture
from tests.interop.clients import program
from tests.support.live import PASSWORD, ROOT, LiveServer, LiveShare, open_share
from tests.support.peers import Peer
from tests.support.samba import SambaServer

OPTIONS = {
    "read only": "no",
    "create mask": "0777",
    "directory mask": "0777",
    "vfs objects": "acl_xattr streams_xattr",
    "store dos attributes": "yes",
}
CHANNELS = {
    "server multi channel support": "yes",
    "max ip connections": "64",  # 33 channels are tried
}
UNPRIVILEGED = {"default unix user": "nobody"} if os.geteuid() == 0 else {}
TSV = ROOT / ".cache" / "torture.tsv"


def server(folder: Path, kind: str) -> Peer:
    """One of its own: some cases leave locks, handles and half-closed sessions behind.

    It acts as nobody in particular: root may do what cases expect to be refused.
    """
    shares = [open_share(folder, OPTIONS), sees(folder), forbidden(folder)]
    if kind == "samba":
        return SambaServer(folder, shares=shares)
    return LiveServer(folder, shares=shares, globals_=CHANNELS | UNPRIVILEGED)


def sees(folder: Path) -> LiveShare:
    """The share that smb2.acls.ACCESSBASED asks for by its name."""
    return open_share(folder, {**OPTIONS, "hide unreadable": "yes"}, "hideunread")


def forbidden(folder: Path) -> LiveShare:
    """The share of smb2.ioctl.bug14788: one may connect to it, and see nothing of it."""
    share = open_share(folder, OPTIONS, "noperm")
    share.path.chmod(0o700)
    return share


@pytest.fixture(scope="module")
def peer(real_folder: Path, pytestconfig: pytest.Config) -> Iterator[Peer]:
    made = server(real_folder / "torture", pytestconfig.getoption("peer"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def patient(
    request: pytest.FixtureRequest, real_folder: Path, pytestconfig: pytest.Config
) -> Iterator[Callable[[str], list[torture.Result]]]:
    """What becomes of a suite that mostly waits: it runs beside the others.

    All that were chosen begin when the first test of this module does, each against a server of
    its own.
    """
    called = [item.callspec.params.get("suite") for item in chosen(request.session)]
    suites = [suite for suite in torture.PATIENT if suite in called]
    kind = pytestconfig.getoption("peer")
    with ExitStack() as ending:
        pool = ThreadPoolExecutor(len(torture.PATIENT), thread_name_prefix="patient")
        running: dict[str, Future[list[torture.Result]]] = {}
        for suite in suites:
            made = ending.enter_context(server(real_folder / f"torture-{suite}", kind))
            running[suite] = pool.submit(run, made, suite)
        ending.callback(pool.shutdown, cancel_futures=True)
        yield lambda suite: running[suite].result()


def chosen(session: pytest.Session) -> Iterator[pytest.Function]:
    """The tests of this run that have parameters."""
    return (i for i in session.items if isinstance(i, pytest.Function) and hasattr(i, "callspec"))


def run(peer: Peer, suite: str) -> list[torture.Result]:
    target = torture.Target(peer.host, peer.port, "share", "tester", PASSWORD, "tester2", PASSWORD)
    return torture.run_suite(target, suite, peer.path())


@pytest.fixture(scope="module")
def results() -> Iterator[list[torture.Result]]:
    """Every result of this run, written to .cache/torture.tsv at the end."""
    found: list[torture.Result] = []
    yield found
    torture.write_tsv(TSV, found)


@pytest.mark.interop
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "suite", sorted(torture.SUITES, key=lambda suite: suite in torture.PATIENT)
)
def test_smbtorture(
    peer: Peer,
    patient: Callable[[str], list[torture.Result]],
    results: list[torture.Result],
    suite: str,
) -> None:
    program("smbtorture")
    found = patient(suite) if suite in torture.PATIENT else run(peer, suite)
    results.extend(found)
    wrong = torture.judge(found, torture.read_gaps(torture.GAPS.read_text()))
    assert wrong == [], "\n".join(wrong)
    assert peer.running, peer.tail()


@pytest.fixture(scope="module")
def administered(real_folder: Path) -> Iterator[LiveServer]:
    """Where tester administers."""
    folder = real_folder / "torture-rpc"
    settings = {"admin users": "tester", **UNPRIVILEGED}
    with LiveServer(folder, shares=[open_share(folder, OPTIONS)], globals_=settings) as made:
        yield made


@pytest.mark.interop
@pytest.mark.parametrize("suite", torture.OVER_RPC)
def test_smbtorture_over_rpc(
    administered: LiveServer, results: list[torture.Result], suite: str
) -> None:
    program("smbtorture")
    target = torture.Target(administered.host, administered.port, "share", "tester", PASSWORD)
    # the domain of accounts that cases look for is the machine's own
    found = torture.run_suite(target._replace(options=("--workgroup=KSMBD",)), suite)
    results.extend(found)
    wrong = torture.judge(found, torture.read_gaps(torture.GAPS.read_text()))
    assert wrong == [], "\n".join(wrong)


@pytest.mark.interop
@pytest.mark.parametrize("case", torture.CONTINUOUS)
def test_smbtorture_on_a_continuously_available_share(continuous: LiveServer, case: str) -> None:
    program("smbtorture")
    target = torture.Target(
        continuous.host, continuous.port, "share", "tester", PASSWORD, "tester2", PASSWORD
    )
    result = torture.run_case(target, case)
    assert result.passed, result


@pytest.fixture(scope="module")
def continuous(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "torture-continuous"
    options = {**OPTIONS, "continuous availability": "yes"}
    share = open_share(folder, options)
    with LiveServer(folder, shares=[share]) as made:
        yield made


@pytest.mark.interop
@pytest.mark.timeout(600)
def test_smbtorture_on_configured_shares(real_folder: Path) -> None:
    program("smbtorture")
    folder = real_folder / "torture-configured"
    shares = [sees(folder)]
    for suite, (key, value) in torture.CONFIGURED.items():
        shares.append(open_share(folder, {**OPTIONS, key: value}, suite))
    with LiveServer(folder, shares=shares, globals_=UNPRIVILEGED) as made:
        for suite in torture.CONFIGURED:
            target = torture.Target(made.host, made.port, suite, "tester", PASSWORD)
            found = torture.run_suite(target, suite)
            assert [result for result in found if not result.passed] == []


@pytest.mark.interop
def test_smbtorture_zeroes_the_middle_of_a_file(peer: Peer) -> None:
    program("smbtorture")
    path = peer.path() / "zeroed"
    path.write_bytes(b"x" * 16384)
    path.chmod(0o777)
    if os.geteuid() == 0:
        shutil.chown(path, "nobody")
    begin, end = torture.ZEROES
    asked = {"filename": path.name, "offset": begin, "beyond_final_zero": end}
    options = tuple(f"--option=torture:{key}={value}" for key, value in asked.items())
    target = torture.Target(peer.host, peer.port, "share", "tester", PASSWORD, options=options)
    result = torture.run_case(target, torture.ZEROED)
    assert result.passed, result
    assert path.read_bytes() == b"x" * begin + bytes(end - begin) + b"x" * (16384 - end)


@pytest.mark.interop
def test_the_known_gaps_are_cases_of_the_suites_that_run() -> None:
    target = torture.Target("127.0.0.1", 1, "share", "nobody", "")
    program("smbtorture")
    known = {
        case
        for suite in (*torture.SUITES, *torture.OVER_RPC, *torture.APPLE)
        for case in torture.cases(target, suite)
    }
    assert set(torture.read_gaps(torture.GAPS.read_text())) <= known


@pytest.mark.parametrize(
    ("listed", "run"),
    [
        ("smb2.lock.rw-none.rw-none", "smb2.lock.rw-none"),
        ("smb2.x.CREATE Existing.CREATE Existing", "smb2.x.CREATE Existing"),
        ("smb2.scan", "smb2.scan"),
    ],
)
def test_a_listed_name_is_folded_to_the_one_that_runs(listed: str, run: str) -> None:
    assert torture.fold(listed) == run


def test_a_list_is_cut_to_the_suite() -> None:
    text = "smbtorture 4\nsmb2.compound.a.a\nsmb2.compound.b.b\nsmb2.compound_find.c.c\n"
    assert torture.parse_list(text, "smb2.compound") == ["smb2.compound.a", "smb2.compound.b"]


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("test: a\nsuccess: a\n", ("success", "")),
        ("test: a\nfailure: a [\nwhy\n  so\n]\n", ("failure", "why so")),
        ("skip: a [\nneeds b\n]\nsuccess: c\n", ("skip", "needs b")),
        ("success: a\nerror: c [\nbad\n]\n", ("error", "bad")),
        ("(../a.c:7) odd\nfailure: a [\nwhy\n]\n", ("failure", "(../a.c:7) odd why")),
        ("test: a\nIt died\n", None),
    ],
)
def test_a_verdict_is_read_from_the_output(text: str, ended: tuple[str, str] | None) -> None:
    assert torture.parse_run(text) == ended


def result(case: str, verdict: str) -> torture.Result:
    return torture.Result(case, verdict, 0.1, "why")


def test_a_new_failure_and_an_unexpected_pass_are_both_wrong() -> None:
    gaps = {"a": "known", "b": "known"}
    found = [result("a", "failure"), result("b", "success"), result("c", "timeout")]
    assert torture.judge(found, gaps) == [
        "b passes: take it out of known-gaps.txt",
        "c: timeout: why",
    ]


def test_a_skip_that_nobody_explained_is_wrong() -> None:
    assert torture.judge([result("a", "skip")], {}) == ["a: skip: why"]


@pytest.mark.parametrize("text", ["smb2.read.eof\n", "smb2.read.eof: \n", "a: b\na: c\n"])
def test_a_gap_needs_one_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"known-gaps\.txt:\d"):
        torture.read_gaps(text)
