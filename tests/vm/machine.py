"""Run a script in a throw-away Linux guest.

Needs no KVM: QEMU emulates the processor.  The script runs as root under bash; the host's
127.0.0.1 is 10.0.2.2 in there, and nothing else can be reached.  Script, status and kernel log go
through a folder that both see; the script's output comes over a port of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.debs import SUITE, ensure, run_inside
from tests.support.live import PASSWORD
from tests.vm.guest import Guest, built

HOST: Final = "10.0.2.2"
MEMORY_MIB: Final = 1024
# nothing here looks at hardware: leave out what probes it and waits
COMMAND_LINE: Final = (
    "console=ttyS0 quiet panic=-1 reboot=t nokaslr mitigations=off tsc=reliable no_timer_check"
    " random.trust_cpu=on cryptomgr.notests audit=0 apparmor=0 selinux=0 nowatchdog"
    " rcupdate.rcu_expedited=1 net.ifnames=0 8250.nr_uarts=1 i8042.noaux i8042.nokbd"
    " tpm_tis.force=0 raid=noautodetect"
)


class Ended(NamedTuple):
    """How the guest ended; ``status`` is None when it died or ran out of time."""

    status: int | None
    output: str
    dmesg: str
    console: str


def emulator(suite: str = SUITE) -> list[str]:
    """The suite's own QEMU, run with its own libraries."""
    root = ensure("qemu", "closure", ["qemu-system-x86"], suite=suite)
    data = ["-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")]
    return [*run_inside(root, root / "usr/bin/qemu-system-x86_64"), *data]


def arguments(guest: Guest, shared: Path, memory_mib: int = MEMORY_MIB) -> list[str]:
    machine = "q35,usb=off,vmport=off,smbus=off,sata=off"
    folder = f"local,path={shared},mount_tag=shared,security_model=none,multidevs=remap"
    return [
        *("-M", machine, "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2"),
        *("-m", str(memory_mib), "-nodefaults", "-no-user-config", "-display", "none"),
        *("-no-reboot", "-kernel", str(guest.kernel), "-initrd", str(guest.initramfs)),
        *("-append", COMMAND_LINE, "-virtfs", folder),
        *("-netdev", "user,id=net,ipv6=off,net=10.0.2.0/24"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-serial-pci", "-chardev", "stdio,id=out,signal=off"),
        *("-device", "virtserialport,chardev=out,name=output"),
        *("-serial", f"file:{shared}/console"),
    ]


def run_script(
    script: str,
    timeout_s: float,
    files: Mapping[str, bytes] | None = None,
    guest: Guest | None = None,
    memory_mib: int = MEMORY_MIB,
) -> Ended:
    """Boot, run, power off; a guest that does not end in time is killed.

    *files* are found in /shared.  *guest* is the plain one unless another is named.
    """
    guest, command = guest or built(), emulator()
    with tempfile.TemporaryDirectory(prefix="guest-") as name:
        shared = Path(name)
        (shared / "script").write_text(script)
        for file, content in (files or {}).items():
            (shared / file).write_bytes(content)
        output = collect([*command, *arguments(guest, shared, memory_mib)], timeout_s)
        return Ended(
            status=int(text) if (text := read(shared / "status").strip()) else None,
            output=output,
            dmesg=read(shared / "dmesg"),
            console=read(shared / "console"),
        )


def run_client(
    script: Path,
    timeout_s: float,
    port: int,
    files: Mapping[str, bytes] | None = None,
    **given: str | Sequence[str],
) -> Ended:
    """Run a script that mounts from the server at *port*.

    It finds HOST, PORT, SMBUSER, SMBPASS and whatever else is *given*: a sequence as an array.
    """
    known = {"HOST": HOST, "PORT": str(port), "SMBUSER": "tester", "SMBPASS": PASSWORD}
    lines = [f"{name}={quoted(value)}\n" for name, value in (known | given).items()]
    return run_script("".join(lines) + script.read_text(), timeout_s, files)


def quoted(value: str | Sequence[str]) -> str:
    """For the shell."""
    return shlex.quote(value) if isinstance(value, str) else f"({shlex.join(value)})"


def collect(command: Sequence[str], timeout_s: float) -> str:
    """What the machine prints until it ends or is ended."""
    # a standard input that stays open tells the guest's port that somebody listens
    reader, writer = os.pipe()
    try:
        with subprocess.Popen(
            command,
            stdin=reader,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as machine:
            try:
                return machine.communicate(timeout=timeout_s)[0]
            except subprocess.TimeoutExpired:
                machine.kill()
                return machine.communicate()[0]
    finally:
        os.close(reader)
        os.close(writer)


def read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
