"""What is told about the server."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

import pytest

from discovery.addresses import Address, local_addresses
from discovery.bonjour import _label, disk_properties
from discovery.device import MAX_BACKUP_NAME, backup_shares, device_from, machine_id
from discovery.service import wanted
from mountd.conf import load
from mountd.params import GlobalParams

FOUND = [
    Address("lo", 1, ip_address("127.0.0.1"), 8),
    Address("eth0", 2, ip_address("192.0.2.7"), 24),
    Address("eth0", 2, ip_address("fe80::7"), 64),
    Address("wlan0", 3, ip_address("198.51.100.7"), 24),
]


def test_the_name_is_the_chosen_one_or_the_hosts() -> None:
    assert device_from(GlobalParams(), "box.example.org", "id").name == "box"
    assert device_from(GlobalParams(netbios_name="NAS"), "box", "id").name == "NAS"
    assert device_from(GlobalParams(workgroup="lab"), "box", "").computer == "BOX/Workgroup:LAB"


def test_the_uuid_lasts_and_does_not_give_the_machines_id_away() -> None:
    number = "0123456789abcdef0123456789abcdef"
    device = device_from(GlobalParams(), "box", number)
    assert device.uuid == device_from(GlobalParams(server_string="other"), "Box", number).uuid
    assert device.uuid != device_from(GlobalParams(), "other", number).uuid
    assert device.uuid != device_from(GlobalParams(), "box", "f" * 32).uuid
    assert number not in str(device.uuid).replace("-", "")


def test_a_machine_without_an_id_has_none(tmp_path: Path) -> None:
    assert machine_id(tmp_path / "none") == ""
    (tmp_path / "id").write_text("abc\n")
    assert machine_id(tmp_path / "id") == "abc"


@pytest.mark.parametrize(
    ("only", "interfaces", "shown"),
    [
        (False, (), [1, 2, 3]),
        (False, ("eth0",), [1, 2, 3]),
        (True, ("eth*",), [1, 2]),
        (True, ("198.51.100.0/24",), [3]),
        (True, ("192.0.2.7;speed=1000",), [1]),
        (True, ("lo", "eth9"), []),
        (True, (), [1, 2, 3]),  # as the server listens
    ],
)
def test_it_is_shown_where_the_configuration_has_it(
    only: bool, interfaces: tuple[str, ...], shown: list[int]
) -> None:
    params = GlobalParams(bind_interfaces_only=only, interfaces=interfaces)
    assert wanted(params, FOUND, loopback=False) == [FOUND[index] for index in shown]


def test_the_loopback_is_for_tests() -> None:
    assert wanted(GlobalParams(), FOUND, loopback=True) == FOUND


def test_this_machine_has_its_loopback_address() -> None:
    found = local_addresses()
    assert [a.interface for a in found if a.ip == ip_address("127.0.0.1")] == ["lo"]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("name", "label"), [("Home Server", "Home-Server"), ("ä", "ksmbd"), ("x" * 80, "x" * 63)]
)
def test_a_host_name_is_made_of_any_name(name: str, label: str) -> None:
    assert _label(name) == label


def test_places_for_backups_are_those_that_lists_show(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shares = {
        "Backups": "time machine = yes",
        "Samba's": "fruit:time machine = yes",
        "hidden": "time machine = yes\nbrowseable = no",
        "gone": "time machine = yes\navailable = no",
        "a, b": "time machine = yes",
        "日" * 80: "time machine = yes",
        "files": "",
    }
    conf.write_text("".join(f"[{n}]\npath = /srv\n{lines}\n" for n, lines in shares.items()))
    assert backup_shares(load(str(conf))) == ["Backups", "Samba's"]


def test_a_place_for_backups_fits_into_its_record() -> None:
    properties = disk_properties(device_from(GlobalParams(), "b", "id", ["x" * MAX_BACKUP_NAME]))
    assert max(len(f"{key}={value}") for key, value in properties.items()) < 256


def test_each_place_for_backups_has_flags_and_a_number_that_lasts() -> None:
    device = device_from(GlobalParams(), "box", "id", ["one", "two"])
    told = disk_properties(device)
    assert told["sys"] == "waMa=0,adVF=0x100"
    first, second = (told[f"dk{number}"].rpartition("=") for number in (0, 1))
    assert first[0] == "adVN=one,adVF=0x82,adVU"
    assert second[0] == "adVN=two,adVF=0x82,adVU"
    assert UUID(first[2]) != UUID(second[2])
    again = disk_properties(device_from(GlobalParams(), "box", "id", ["TWO"]))
    assert again["dk0"].rpartition("=")[2] == second[2]
