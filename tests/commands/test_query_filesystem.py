"""commands/query_filesystem.py: what is told of the volume behind a share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.wire import fs_info, ipc
from ksmbd.wire.fs_info import FsInfo
from ksmbd.wire.query_info import INFO_FILESYSTEM
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import from_utf16
from tests.support.client import Client, File, ready
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import DISK, share


def asking(file: File, info_class: int, length: int = 4096) -> Frame:
    return file.frames.query_info(
        info_class, info_type=INFO_FILESYSTEM, output_buffer_length=length
    )


def told(client: Client, info_class: int) -> bytes:
    response = client.call(asking(client.open(""), info_class))
    assert response.status is NtStatus.SUCCESS, response
    return response.data


def test_the_volume_has_the_label_and_serial_number_of_the_share(folder: Path) -> None:
    engine = Engine(folder, shares=[share("data", str(folder), volume="My disk")])
    client = ready(engine)
    data = told(client, FsInfo.VOLUME)
    volume = fs_info.FileFsVolumeInformation.unpack(data)
    label = data[fs_info.FileFsVolumeInformation.SIZE :]
    assert (from_utf16(label), volume.volume_label_length) == ("My disk", 14)
    assert volume.volume_serial_number
    assert volume.volume_creation_time
    assert told(client, FsInfo.VOLUME) == data
    other = ready(Engine(folder, shares=[share("data", str(folder), volume="My disk")]))
    assert told(other, FsInfo.VOLUME) == data


def test_a_share_without_a_label_shows_its_name(client: Client) -> None:
    data = told(client, FsInfo.VOLUME)
    assert from_utf16(data[fs_info.FileFsVolumeInformation.SIZE :]) == "data"


def test_sizes_are_those_of_the_file_system_in_sectors_of_512(
    client: Client, engine: Engine
) -> None:
    real = os.statvfs(engine.folder)
    size = fs_info.FileFsSizeInformation.unpack(told(client, FsInfo.SIZE))
    full = fs_info.FileFsFullSizeInformation.unpack(told(client, FsInfo.FULL_SIZE))
    assert size.bytes_per_sector == full.bytes_per_sector == 512
    assert size.sectors_per_allocation_unit * 512 == real.f_frsize
    assert full.sectors_per_allocation_unit * 512 == real.f_frsize
    assert size.total_allocation_units == full.total_allocation_units == real.f_blocks
    assert size.available_allocation_units <= full.actual_available_allocation_units


def test_a_share_for_backups_is_as_large_as_it_may_be(folder: Path) -> None:
    """By the numbers of smbtorture's vfs.fruit_timemachine."""
    bundle = folder / "test.sparsebundle"
    (bundle / "bands").mkdir(parents=True)
    plist = "<dict><key>band-size</key>\n<integer>8192</integer></dict>"
    (bundle / "Info.plist").write_text(plist)
    for name in ("1", "2"):
        (bundle / "bands" / name).touch()
    flags, limit = DISK | ipc.SHARE_TIME_MACHINE, {"time_machine_max_size": 32 << 10}
    shares = [
        share("data", str(folder), flags, **limit),
        share("all", str(folder), flags),
        share("other", str(folder), DISK, **limit),
    ]
    engine = Engine(folder, shares=shares)
    client = ready(engine)
    size = fs_info.FileFsSizeInformation.unpack(told(client, FsInfo.SIZE))
    assert (size.sectors_per_allocation_unit, size.bytes_per_sector) == (2, 512)
    assert (size.total_allocation_units, size.available_allocation_units) == (32, 16)
    full = fs_info.FileFsFullSizeInformation.unpack(told(client, FsInfo.FULL_SIZE))
    assert (full.total_allocation_units, full.actual_available_allocation_units) == (32, 16)
    for name in ("all", "other"):
        client.connect(name)
        size = fs_info.FileFsSizeInformation.unpack(told(client, FsInfo.SIZE))
        assert size.total_allocation_units == os.statvfs(folder).f_blocks


def test_the_device_is_a_mounted_disk(client: Client, engine: Engine) -> None:
    device = fs_info.FileFsDeviceInformation.unpack(told(client, FsInfo.DEVICE))
    assert device.device_type == fs_info.DEVICE_DISK
    assert device.characteristics == fs_info.DEVICE_IS_MOUNTED
    reader = ready(engine, share="ro")
    file = reader.open("", desired_access=0x80, create_disposition=1)
    data = reader.call(asking(file, FsInfo.DEVICE)).data
    device = fs_info.FileFsDeviceInformation.unpack(data)
    assert device.characteristics == fs_info.DEVICE_IS_MOUNTED | fs_info.READ_ONLY_DEVICE


@pytest.mark.parametrize(
    ("flags", "persistent_acls"), [(DISK, 0), (DISK | ipc.SHARE_ACL_XATTR, 0x8)]
)
def test_the_attributes_say_what_there_is(folder: Path, flags: int, persistent_acls: int) -> None:
    client = ready(Engine(folder, shares=[share("data", str(folder), flags)], fake_fscaps=0x40))
    data = told(client, FsInfo.ATTRIBUTE)
    found = fs_info.FileFsAttributeInformation.unpack(data)
    assert from_utf16(data[fs_info.FileFsAttributeInformation.SIZE :]) == "NTFS"
    assert found.maximum_component_name_length == 255
    said = found.file_system_attributes
    assert said & fs_info.FS_PERSISTENT_ACLS == persistent_acls
    assert said & 0x40, "fake_fscaps"
    assert said & fs_info.FS_UNICODE_ON_DISK
    assert said & fs_info.FS_CASE_PRESERVED_NAMES
    assert said & fs_info.FS_NAMED_STREAMS
    assert not said & fs_info.FS_READ_ONLY_VOLUME


def test_a_read_only_share_is_a_read_only_volume(engine: Engine) -> None:
    client = ready(engine, share="ro")
    file = client.open("", desired_access=0x80, create_disposition=1)
    data = client.call(asking(file, FsInfo.ATTRIBUTE)).data
    found = fs_info.FileFsAttributeInformation.unpack(data)
    assert found.file_system_attributes & fs_info.FS_READ_ONLY_VOLUME


def test_there_are_no_quotas(client: Client) -> None:
    control = fs_info.FileFsControlInformation.unpack(told(client, FsInfo.CONTROL))
    assert control.file_system_control_flags == 0
    assert control.default_quota_limit == fs_info.NO_QUOTA


def test_the_object_id_is_not_zero_and_stays(client: Client) -> None:
    found = fs_info.FileFsObjectIdInformation.unpack(told(client, FsInfo.OBJECT_ID))
    assert found.object_id != bytes(16)
    assert fs_info.FileFsObjectIdInformation.unpack(told(client, FsInfo.OBJECT_ID)) == found


def test_sectors_are_of_512_bytes_in_blocks_of_the_file_system(
    client: Client, engine: Engine
) -> None:
    found = fs_info.FileFsSectorSizeInformation.unpack(told(client, FsInfo.SECTOR_SIZE))
    assert found.logical_bytes_per_sector == 512
    block = os.statvfs(engine.folder).f_frsize
    assert found.physical_bytes_per_sector_for_performance == block
