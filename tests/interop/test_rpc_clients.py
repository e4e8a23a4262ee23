"""What programs ask over RPC: rpcclient's commands in a table, net rpc, smbcacls with names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import SmbClient, account, program, run
from tests.interop.test_administration import net, started
from tests.support.live import LiveServer
from tests.support.namespaces import own_network

pytestmark = pytest.mark.interop

ADMINISTRATORS = "S-1-5-32-544"

# command -> what it must print, as a pattern; "" for those that print nothing
COMMANDS = {
    # srvsvc
    "srvinfo": r"platform_id\s*:\s*500",
    "netshareenum 1": r"netname: share$",
    "netshareenum 502": r"path:\s+C:\\",
    "netshareenumall 2": r"netname: IPC\$",
    "netsharegetinfo share 1": r"netname: share$",
    "netsharegetinfo share 502": r"SID: S-1-1-0",
    "netsharegetinfo share 1005": r"flags: 0x0",
    "netfileenum": r"srvsvc",
    "netsessenum": r"Received \d+ entries",
    "netdiskenum": "",
    "netconnenum IPC$": "",
    "netnamevalidate data 9": "",
    "netremotetod": "",
    # wkssvc
    "wkssvc_wkstagetinfo 102": "",
    "wkssvc_getjoininformation": r"WORKGROUP \(2\)",
    "wkssvc_enumeratecomputernames": r"name: 0 KSMBD",
    "wkssvc_enumerateusers": "",
    # lsarpc
    "lsaquery 3": r"Domain Name: WORKGROUP",
    "lsaquery 5": r"Domain Name: KSMBD",
    "lsaquery 12": r"Domain NetBios Name: WORKGROUP",
    "lookupsids S-1-1-0 S-1-5-32-544": r"BUILTIN\\Administrators \(4\)",
    "lookupnames root Everyone": r"Everyone S-1-1-0",
    "enumprivs": r"^found 5 privileges",
    "getdispname SeBackupPrivilege": r"Back up files and directories",
    "lsaenumsid": ADMINISTRATORS,
    f"lsaenumprivsaccount {ADMINISTRATORS}": r"found 5 privileges",
    f"lsaenumacctrights {ADMINISTRATORS}": r"SeRestorePrivilege",
    "lsalookupprivvalue SeSecurityPrivilege": r"0x8",
    "lsaquerysecobj": r"DACL",
    "getusername": r"Account Name: ",
    # samr
    "enumdomains": r"name:\[Builtin\]",
    "enumdomusers": "",
    "enumdomgroups": r"group:\[None\] rid:\[0x201\]",
    "enumalsgroups builtin": r"group:\[Administrators\] rid:\[0x220\]",
    "querydominfo 1": r"Minimum password length",
    "querydominfo 2": r"Domain:\s+KSMBD",
    "querydispinfo 1": "",
    "querydispinfo 3": r"Account: None",
    "querydispinfo2 1": "",
    "querydispinfo3 5": r"Account: None",
    "querygroup 513": r"Group Name:\s+None",
    "querygroupmem 513": "",
    "queryaliasmem builtin 544": r"sid:\[S-1-",
    "queryuseraliases builtin S-1-1-0": "",
    "getdompwinfo": r"min_password_length: 0",
    "lookupdomain KSMBD": r"Domain Name: KSMBD Domain SID: S-1-5-21-",
    "samlookuprids domain 513": r"rid 0x201: None \(2\)",
    "samquerysecobj": r"DACL",
    # dssetup
    "dsroledominfo": r"Machine Role = \[2\]",
    # epmapper
    "epmlookup": r"ncacn_np:.*\\pipe\\srvsvc.*: srvsvc$",
    "epmmap samr": r"^num_tower\[3\]$",
}
# what is refused, and how rpcclient says it
REFUSED = {
    "lsaaddacctrights S-1-1-0 SeBackupPrivilege": "NT_STATUS_ACCESS_DENIED",
    "lsaremoveacctrights S-1-1-0 SeChangeNotifyPrivilege": "NT_STATUS_ACCESS_DENIED",
    "createdomuser somebody": "NT_STATUS_ACCESS_DENIED",
    "createdomgroup some": "NT_STATUS_ACCESS_DENIED",
    "createdomalias some": "NT_STATUS_ACCESS_DENIED",
    "wkssvc_messagebuffersend hello": "WERR_NOT_SUPPORTED",
    "netsharegetinfo none 1": "WERR_NERR_NETNAMENOTFOUND",
    "getdispname SeNonsense": "NT_STATUS_NO_SUCH_PRIVILEGE",
}


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    with started(real_folder / "clients") as running:
        yield running


def rpc(server: LiveServer, command: str, user: str = "tester2") -> tuple[int, str]:
    words = [program("rpcclient"), server.host, "-p", str(server.port), *account(user)]
    answer = run([*words, "--configfile=/dev/null", "-c", command])
    return answer.status, answer.text


@pytest.mark.parametrize(("command", "printed"), COMMANDS.items())
def test_rpcclient_is_answered(server: LiveServer, command: str, printed: str) -> None:
    status, text = rpc(server, command)
    assert status == 0, text
    assert not re.search(r"NT_STATUS_|WERR_|command not found|Usage", text), text
    assert re.search(printed, text, re.M), text


@pytest.mark.parametrize(("command", "status"), REFUSED.items())
def test_rpcclient_hears_why_not(server: LiveServer, command: str, status: str) -> None:
    assert status in rpc(server, command)[1]


@pytest.mark.parametrize("command", ["lsaenumsid", "netsessenum", "netsharegetinfo share 502"])
def test_who_is_no_administrator_is_told_less(server: LiveServer, command: str) -> None:
    assert "ACCESS_DENIED" in rpc(server, command, "tester")[1]


def smbcacls(server: LiveServer, *arguments: str) -> str:
    """What smbcacls prints; it knows no port but 445."""
    words = [program("smbcacls"), server.unc(), "named", *account("tester")]
    answer = run([*words, "--configfile=/dev/null", *arguments])
    assert answer.status == 0, answer.text
    return answer.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own")
def test_smbcacls_shows_and_takes_names(real_folder: Path) -> None:
    with own_network(), started(real_folder / "clients-cacls", port=445) as server:
        SmbClient(server).ok("mkdir named")
        told = smbcacls(server)
        assert re.search(r"^ACL:Everyone:ALLOWED/", told, re.M), told
        assert re.search(r"^OWNER:(KSMBD|Unix User)\\\w+$", told, re.M), told
        assert "S-1-" not in told
        smbcacls(server, "-a", r"ACL:Unix Group\root:ALLOWED/0x0/READ")
        assert re.search(r"^ACL:Unix Group\\root:ALLOWED/0x0/", smbcacls(server), re.M)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own")
def test_net_rpc_is_answered(real_folder: Path) -> None:
    with own_network(), started(real_folder / "clients-net", port=445) as server:
        assert re.search(r"^share$", net(server, "share"), re.M)
        assert re.search(r"^Workgroup Name\s+: WORKGROUP|Domain Name: KSMBD", net(server, "info"))
        assert re.search(r"S-1-5-21-[\d-]+", net(server, "getsid") + net(server, "info"))
        assert "Administrators" in net(server, "group", "list", "builtin") + net(
            server, "rights", "list", "accounts"
        )
        assert "SeBackupPrivilege" in net(server, "rights", "list", "privileges")
        folder = server.folder / "by-net"
        folder.mkdir()
        folder.chmod(0o777)
        added = net(server, "share", "add", f"bynet=C:{folder}".replace("/", "\\"))
        assert re.search(r"^bynet$", net(server, "share"), re.M), added
        net(server, "share", "delete", "bynet")
        assert "bynet" not in net(server, "share")
