"""Run smbtorture's cases one by one against a server and judge the results.

Each case is one process with a time limit, so a case that hangs or dies costs only itself, and the
share is emptied between suites, so results do not depend on what ran before.  ``known-gaps.txt``
names the cases that may fail, each with its reason; everything else must pass, and what passes
although it is named there is an error too: the list stays true.

    python -m tests.interop.torture --port 445 --out results.tsv [SUITE...]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

SUITES: Final = (
    "smb2.connect",
    "smb2.read",
    "smb2.rw",
    "smb2.dir",
    "smb2.mkdir",
    "smb2.openattr",
    "smb2.winattr",
    "smb2.ea",
    "smb2.charset",
    "smb2.timestamp_resolution",
    "smb2.getinfo",
    "smb2.setinfo",
    "smb2.tcon",
    "smb2.compound",
    "smb2.compound_find",
    "smb2.credits",
    "smb2.session",
    "smb2.session-id",
    "smb2.rename",
    "smb2.delete-on-close-perms",
    "smb2.sharemode",
    "smb2.deny",
    "smb2.lock",
    "smb2.maxfid",
    "smb2.scan",
    "smb2.create",
    "smb2.oplock",
    "smb2.lease",
    "smb2.notify",
    "smb2.notify-inotify",
    "smb2.compound_async",
    "smb2.timestamps",
    "smb2.async_dosmode",
    "smb2.durable-open",
    "smb2.durable-v2-open",
    "smb2.durable-v2-delay",
    "smb2.replay",
    "smb2.multichannel",
    "smb2.fileid",
    "smb2.streams",
    "smb2.ioctl",
    "smb2.ioctl-on-stream",
    "smb2.acls",
    "smb2.maximum_allowed",
    "smb2.sdread",
    "smb2.secleak",
    "smb2.set-sparse-ioctl",
)
# Over the pipes of IPC$, as an administrator; what docs/rpc.md lists.  The others of accounts and
# of policy (rpc.samr*, rpc.lsa*) begin by making accounts, trusts and secrets, or by joining a
# domain, which a stand-alone file server has not; rpc.bind wants its RPC authenticated once more
# than the session is, rpc.samba3's others SMB1, what Samba does and Windows does not, or an end
# that never comes before its read waits (smb2-pipe-read-*: tests/commands/test_create_pipe.py).
OVER_RPC: Final = (
    "rpc.srvsvc",
    "rpc.wkssvc",
    "rpc.dssetup",
    "rpc.lsa-getuser",
    "rpc.lsa.lookupsids",
    "rpc.lsa.lookupnames",
    "rpc.samr.accessmask",
    "rpc.samr.handletype",
    "rpc.samba3.lsa",
    "rpc.samba3.winreg",
    "rpc.samba3.getaliasmembership-0",
    "rpc.samba3.smb2-reauth1",
    "rpc.handles",
    "rpc.altercontext",
    "rpc.objectuuid",
    "rpc.mgmt",
    "rpc.epmapper",
)
# Minutes of waiting: for breaks that nobody answers, or for changes that must not be told.  They
# run beside the others, each against a server of its own.
PATIENT: Final = ("smb2.secleak", "smb2.notify", "smb2.lease", "smb2.oplock", "smb2.replay")
# besides, where files stay open over the end of the server
CONTINUOUS: Final = (
    "smb2.durable-v2-open.persistent-open-oplock",
    "smb2.durable-v2-open.persistent-open-lease",
    "smb2.replay.replay5",
)
# besides, each on a share with a parameter of its own
CONFIGURED: Final = {
    "smb2.change_notify_disabled": ("change notify", "no"),
    "smb2.dosmode": ("hide files", "/hidefile/"),
    "smb2.create_no_streams": ("vfs objects", "acl_xattr"),
    "smb2.acls": ("acl_xattr:ignore system acls", "yes"),
    "smb2.mangle": ("mangled names", "yes"),
    "smb2.dir.one": ("mangled names", "yes"),
    "smb2.create.aclfile": ("acl_xattr:ignore system acls", "yes"),
    "smb2.create.acldir": ("acl_xattr:ignore system acls", "yes"),
}
# besides, of Apple's extensions, each on a share with parameters of its own
APPLE: Final = {
    "vfs.fruit": {"vfs objects": "fruit streams_xattr"},
    "vfs.fruit_netatalk": {"vfs objects": "fruit streams_xattr"},
    "vfs.fruit_file_id": {"vfs objects": "fruit streams_xattr"},
    "vfs.fruit_conversion": {"vfs objects": "fruit streams_xattr"},
    "vfs.fruit_timemachine": {
        "vfs objects": "fruit streams_xattr",
        "fruit:time machine": "yes",
        "fruit:time machine max size": "32K",
    },
}
# besides, on a file that is there
ZEROED: Final = "smb2.zero-data-ioctl"
ZEROES: Final = (4096, 12288)  # bytes: from, and up to
GAPS: Final = Path(__file__).with_name("known-gaps.txt")
SUCCESS: Final = "success"
CASE_S: Final = 90.0  # the longest wait 35 s for an answer that does not come
LONGER: Final = {"smb2.notify.mask": 200.0}  # seconds; it waits a fifth of one 400 times
# a case ends with "success: NAME", or with "failure: NAME [", its reason, and "]"
ENDED: Final = re.compile(r"^(success|successful|failure|error|skip|xfail|uxsuccess): (.*?)( \[)?$")
REMARK: Final = re.compile(r"^\(\S+\.c:\d+\)")
OPTIONS: Final = (
    "--seed=1",
    "--workgroup=WORKGROUP",
    "--configfile=/dev/null",
    "--option=torture:progress=no",
    # 70,000 open files by default: the number tells nothing that 4,000 do not
    "--option=torture:maxopenfiles=4000",
    "--option=torture:filename=sparse",  # of smb2.set-sparse-ioctl
    "--option=torture:acl_xattr_name=DOSATTRIB",  # of smb2.ea: what no client may set
)


class Target(NamedTuple):
    """The server, and as whom."""

    host: str
    port: int
    share: str
    user: str
    password: str
    second_user: str = ""
    second_password: str = ""
    options: tuple[str, ...] = ()  # further ones, of smbtorture

    def command(self, *arguments: str) -> list[str]:
        over_rpc = any(argument.startswith("rpc.") for argument in arguments)
        place = f"ncacn_np:{self.host}[smb2]" if over_rpc else f"//{self.host}/{self.share}"
        words = [
            *("smbtorture", place, f"--smb-ports={self.port}"),
            *(f"--user={self.user}%{self.password}", *OPTIONS),
        ]
        if self.second_user:
            words += [
                f"--option=torture:user2name={self.second_user}",
                f"--option=torture:user2password={self.second_password}",
                "--option=torture:user2domain=WORKGROUP",
            ]
        return [*words, *self.options, *arguments]


class Result(NamedTuple):
    """How one case ended; ``reason`` is smbtorture's, on one line."""

    case: str
    verdict: str  # success failure error skip timeout crash
    seconds: float
    reason: str

    @property
    def passed(self) -> bool:
        return self.verdict == SUCCESS

    def row(self) -> str:
        suite = ".".join(self.case.split(".")[:2])
        columns = (suite, self.case, self.verdict, f"{self.seconds:.2f}", self.reason)
        return "\t".join(columns) + "\n"


HEADER: Final = "suite\tcase\tverdict\tseconds\treason\n"


def fold(name: str) -> str:
    """``smb2.lock.rw-none.rw-none``, as listed, is ``smb2.lock.rw-none`` when it runs."""
    for position, character in enumerate(name):
        tail = name[position + 1 :]
        if character == "." and tail and name[:position].endswith("." + tail):
            return name[:position]
    return name


def parse_list(text: str, suite: str) -> list[str]:
    """The cases of ``suite`` in smbtorture's list, which goes by prefix and names more."""
    names = [fold(line.strip()) for line in text.splitlines()]
    return list(dict.fromkeys(n for n in names if n == suite or n.startswith(suite + ".")))


def cases(target: Target, suite: str) -> list[str]:
    listed = subprocess.run(
        target.command("--list", suite), capture_output=True, text=True, check=False, timeout=60
    )
    found = parse_list(listed.stdout, suite)
    if not found:
        raise LookupError(f"smbtorture knows no {suite}: {listed.stdout}{listed.stderr}")
    return found


def parse_run(text: str) -> tuple[str, str] | None:
    """Verdict and reason; None when the case never ended.

    A case made of several tests prints several verdicts: the first that is no success counts.
    Remarks before a verdict ("(file.c:123) ...") often say more than the reason itself.
    """
    verdicts: list[tuple[str, str]] = []
    remarks: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if REMARK.match(line):
            remarks.append(line)
        if ended := ENDED.match(line):
            reason = [*remarks, *until_bracket(lines)] if ended[3] else []
            verdict = SUCCESS if ended[1] == "successful" else ended[1]
            verdicts.append((verdict, re.sub(r"\s+", " ", " ".join(reason))[:400]))
            remarks.clear()
    unlike = [verdict for verdict in verdicts if verdict[0] != SUCCESS]
    return next(iter(unlike or verdicts), None)


def until_bracket(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == "]":
            return
        yield line.strip()


def run_case(target: Target, case: str, timeout_s: float = CASE_S) -> Result:
    timeout_s = max(timeout_s, LONGER.get(case, 0.0))
    started = time.monotonic()
    with subprocess.Popen(
        target.command("--format=subunit", "--fullname", case),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            text, _ = process.communicate(timeout=timeout_s)
            over = False
        except subprocess.TimeoutExpired:
            process.kill()
            text, _ = process.communicate()
            over = True
    seconds = time.monotonic() - started
    if over:
        return Result(case, "timeout", seconds, f"no end within {timeout_s:.0f} s")
    ended = parse_run(text)
    if ended is None:
        said = re.search(r"^PANIC.*$|^INTERNAL ERROR.*$", text, re.M)
        last = said[0] if said else re.sub(r"\s+", " ", text[-200:])
        return Result(case, "crash", seconds, f"status {process.returncode}: {last}")
    return Result(case, ended[0], seconds, ended[1])


def run_suite(target: Target, suite: str, folder: Path | None = None) -> list[Result]:
    """All cases of a suite on an empty share; ``folder`` is where the share lies."""
    if folder is not None:
        empty(folder)
    return [run_case(target, case) for case in cases(target, suite)]


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def read_gaps(text: str) -> dict[str, str]:
    """Case -> reason.  A line is ``case: reason``; '#' starts a comment line."""
    gaps: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        case, separator, reason = line.partition(": ")
        if not separator or not reason.strip():
            raise ValueError(f"known-gaps.txt:{number}: a case needs its reason")
        if case in gaps:
            raise ValueError(f"known-gaps.txt:{number}: {case} stands twice")
        gaps[case] = reason.strip()
    return gaps


def judge(results: Iterable[Result], gaps: dict[str, str]) -> list[str]:
    """What is wrong: a failure that nobody explained, or a gap that is none any more."""
    wrong = []
    for result in results:
        if not result.passed and result.case not in gaps:
            wrong.append(f"{result.case}: {result.verdict}: {result.reason}")
        if result.passed and result.case in gaps:
            wrong.append(f"{result.case} passes: take it out of known-gaps.txt")
    return wrong


def write_tsv(path: Path, results: Sequence[Result]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join(result.row() for result in results))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=445)
    parser.add_argument("--share", default="share")
    parser.add_argument("--user", default="tester%Passw0rd!")
    parser.add_argument("--user2", default="tester2%Passw0rd!")
    parser.add_argument("--folder", type=Path, help="the share's folder, emptied between suites")
    parser.add_argument("--out", type=Path, help="a TSV of every result")
    parser.add_argument("suite", nargs="*")
    chosen = parser.parse_args()
    user, _, password = chosen.user.partition("%")
    user2, _, password2 = chosen.user2.partition("%")
    target = Target(chosen.host, chosen.port, chosen.share, user, password, user2, password2)
    results = []
    for suite in chosen.suite or SUITES:
        for result in run_suite(target, suite, chosen.folder):
            print(result.row(), end="", flush=True)
            results.append(result)
    if chosen.out:
        write_tsv(chosen.out, results)
    wrong = judge(results, read_gaps(GAPS.read_text()))
    print(f"{sum(r.passed for r in results)} of {len(results)} pass")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
