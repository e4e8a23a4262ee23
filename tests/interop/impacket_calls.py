"""What impacket's programs ask of a server over RPC; run by the interpreter that has impacket.

python impacket_calls.py PROGRAM HOST PORT USER PASSWORD

prints a line for each thing that was found, as the programs of those names do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from impacket.dcerpc.v5 import epm, lsad, lsat, mgmt, rrp, samr, srvs, transport, wkst
from impacket.dcerpc.v5.dtypes import MAXIMUM_ALLOWED
from impacket.dcerpc.v5.rpcrt import DCERPC_v5, DCERPCException
from impacket.uuid import bin_to_string, bin_to_uuidtup

Connect = Callable[[str, bytes | None], DCERPC_v5]
MORE_ENTRIES = 0x00000105
UNKNOWN = 8  # SidTypeUnknown
RIDS = 1500  # two calls' worth


def lookupsid(connect: Connect) -> Iterator[str]:
    """Every name of the machine's domain, by trying its RIDs."""
    dce = connect("lsarpc", lsat.MSRPC_UUID_LSAT)
    policy = lsad.hLsarOpenPolicy2(dce, MAXIMUM_ALLOWED | lsat.POLICY_LOOKUP_NAMES)["PolicyHandle"]
    level = lsad.POLICY_INFORMATION_CLASS.PolicyAccountDomainInformation
    answer = lsad.hLsarQueryInformationPolicy2(dce, policy, level)
    sid = answer["PolicyInformation"]["PolicyAccountDomainInfo"]["DomainSid"].formatCanonical()
    yield f"domain {sid}"
    for first in range(0, RIDS, 1000):
        sids = [f"{sid}-{rid}" for rid in range(first, min(first + 1000, RIDS))]
        try:
            lsat.hLsarLookupSids(dce, policy, sids, lsat.LSAP_LOOKUP_LEVEL.LsapLookupWksta)
        except DCERPCException as error:
            if "STATUS_NONE_MAPPED" in str(error):
                continue
            if "STATUS_SOME_NOT_MAPPED" not in str(error):
                raise
            found = error.get_packet()
            domains = found["ReferencedDomains"]["Domains"]
            for rid, name in enumerate(found["TranslatedNames"]["Names"], first):
                if name["Use"] != UNKNOWN:
                    yield f"{rid}: {domains[name['DomainIndex']]['Name']}\\{name['Name']}"


def samrdump(connect: Connect) -> Iterator[str]:
    """Every account of every domain, with all that is told of it."""
    dce = connect("samr", samr.MSRPC_UUID_SAMR)
    server = samr.hSamrConnect(dce)["ServerHandle"]
    domains = samr.hSamrEnumerateDomainsInSamServer(dce, server)["Buffer"]["Buffer"]
    for domain in domains:
        yield f"domain {domain['Name']}"
        sid = samr.hSamrLookupDomainInSamServer(dce, server, domain["Name"])["DomainId"]
        handle = samr.hSamrOpenDomain(dce, serverHandle=server, domainId=sid)["DomainHandle"]
        more, context = MORE_ENTRIES, 0
        while more == MORE_ENTRIES:
            try:
                answer = samr.hSamrEnumerateUsersInDomain(
                    dce, handle, enumerationContext=context, preferedMaximumLength=64
                )
            except DCERPCException as error:
                if "STATUS_MORE_ENTRIES" not in str(error):
                    raise
                answer = error.get_packet()
            for user in answer["Buffer"]["Buffer"]:
                opened = samr.hSamrOpenUser(dce, handle, MAXIMUM_ALLOWED, user["RelativeId"])
                level = samr.USER_INFORMATION_CLASS.UserAllInformation
                told = samr.hSamrQueryInformationUser2(dce, opened["UserHandle"], level)
                every = told["Buffer"]["All"]
                control = every["UserAccountControl"]
                yield f"user {user['Name']} ({user['RelativeId']}) {every['UserId']} {control:#x}"
                samr.hSamrCloseHandle(dce, opened["UserHandle"])
            more, context = answer["ErrorCode"], answer["EnumerationContext"]


def rpcdump(connect: Connect) -> Iterator[str]:
    """Every endpoint of the server's endpoint mapper, and where one interface is."""
    dce = connect("epmapper", None)
    for entry in epm.hept_lookup("", dce=dce):
        interface = entry["tower"]["Floors"][0]
        where = epm.PrintStringBinding(entry["tower"]["Floors"])
        yield f"{str(interface).split()[0].lower()} {where} {entry['annotation'][:-1].decode()}"
    yield "srvs is on " + epm.hept_map(
        "SERVER", srvs.MSRPC_UUID_SRVS, dce=connect("epmapper", None)
    )


def rpcmap(connect: Connect) -> Iterator[str]:
    """The interfaces of a pipe, by its management interface."""
    dce = connect("lsarpc", mgmt.MSRPC_UUID_MGMT)
    answer = mgmt.hinq_if_ids(dce)
    for number in range(answer["if_id_vector"]["count"]):
        identifier = answer["if_id_vector"]["if_id"][number]["Data"].getData()
        uuid, version = bin_to_uuidtup(identifier)
        yield f"{uuid.lower()} v{version}"
    yield f"listening {mgmt.his_server_listening(dce)['status']}"


def netview(connect: Connect) -> Iterator[str]:
    """Shares, sessions and files as srvsvc tells them, and who we are as wkssvc does."""
    dce = connect("srvsvc", srvs.MSRPC_UUID_SRVS)
    for share in srvs.hNetrShareEnum(dce, 1)["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"]:
        yield f"share {share['shi1_netname'][:-1]} {share['shi1_type']:#x}"
    info = srvs.hNetrServerGetInfo(dce, 102)["InfoStruct"]["ServerInfo102"]
    yield f"server {info['sv102_name'][:-1]} {info['sv102_type']:#x}"
    answer = srvs.hNetrSessionEnum(dce, "\0", "\0", 10)["InfoStruct"]["SessionInfo"]["Level10"]
    for session in answer["Buffer"]:
        yield f"session {session['sesi10_username'][:-1]} idle {session['sesi10_idle_time']}"
    files = srvs.hNetrFileEnum(dce, "\0", "\0", 3)["InfoStruct"]["FileInfo"]["Level3"]["Buffer"]
    for file in files:
        yield f"file {file['fi3_path_name'][:-1]} of {file['fi3_username'][:-1]}"
    dce = connect("wkssvc", wkst.MSRPC_UUID_WKST)
    station = wkst.hNetrWkstaGetInfo(dce, 102)["WkstaInfo"]["WkstaInfo102"]
    yield f"station {station['wki102_computername'][:-1]} in {station['wki102_langroup'][:-1]}"


def reg(connect: Connect) -> Iterator[str]:
    """A value of the registry."""
    dce = connect("winreg", rrp.MSRPC_UUID_RRP)
    root = rrp.hOpenLocalMachine(dce)["phKey"]
    path = r"SYSTEM\CurrentControlSet\Control\ProductOptions"
    key = rrp.hBaseRegOpenKey(dce, root, path, samDesired=MAXIMUM_ALLOWED)["phkResult"]
    yield f"ProductType {rrp.hBaseRegQueryValue(dce, key, 'ProductType')[1]}"


def unknown(connect: Connect) -> Iterator[str]:
    """An interface that nobody has, and a pipe that is not there."""
    for pipe, interface in (("lsarpc", samr.MSRPC_UUID_SAMR[:15] + b"\0" * 5), ("atsvc", None)):
        try:
            connect(pipe, interface)
        except Exception as error:
            yield f"{pipe}: {error}"
    yield bin_to_string(samr.MSRPC_UUID_SAMR).lower()


PROGRAMS = {
    call.__name__: call for call in (lookupsid, samrdump, rpcdump, rpcmap, netview, reg, unknown)
}


def main() -> None:
    program, host, port, user, password = sys.argv[1:]

    def connect(pipe: str, interface: bytes | None) -> DCERPC_v5:
        way = transport.DCERPCTransportFactory(rf"ncacn_np:{host}[\pipe\{pipe}]")
        way.set_credentials(user, password)
        way.set_dport(int(port))
        dce = way.get_dce_rpc()
        dce.connect()
        if interface is not None:
            dce.bind(interface)
        return dce

    for line in PROGRAMS[program](connect):
        print(line)


if __name__ == "__main__":
    main()
