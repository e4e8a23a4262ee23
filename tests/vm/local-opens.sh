# The kernel's SMB client keeps what it writes while it is alone, run in the guest.
# Given: HOST PORT SMBUSER SMBPASS.  Says by files on the share how far it is, and waits for others.

modprobe cifs
mount -t cifs "//$HOST/share" /mnt -o "port=$PORT,username=$SMBUSER,password=$SMBPASS" || exit 1
# no shell: it closes copies of a descriptor after each command, and the client writes back then
python3 - <<'END' || exit 1
import os, time

for how in ("read", "write"):
    fd = os.open(f"/mnt/{how}", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"written in the guest")
    os.close(os.open(f"/mnt/{how}.kept", os.O_CREAT))
    end = time.monotonic() + 60
    while not os.path.exists(f"/mnt/{how}.seen"):
        assert time.monotonic() < end, "nobody has seen it"
        time.sleep(0.1)
    print(f"{how}:", os.pread(fd, 100, 0).decode())
    os.close(fd)
END
umount /mnt
# besides, what only a kernel of one's own can tell
python3 /shared/quota.py || exit 1
echo done
