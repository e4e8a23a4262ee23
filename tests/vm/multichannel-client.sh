# A file over several connections of the kernel's SMB client; run in the guest.
# Given: HOST PORT SMBUSER SMBPASS MIB.
# Prints "channels N" as the client counts them, "sum sent|up HASH" of what it made and read back,
# "aborted" for every time that the client gave up reading, and "waiting" before it begins.

modprobe cifs
common="port=$PORT,username=$SMBUSER,password=$SMBPASS,vers=3.1.1,cache=none"
mount -t cifs "//$HOST/share" /mnt -o "$common,multichannel,max_channels=4" || exit 1
for _ in $(seq 50); do # the client asks for interfaces after the mount
    extra=$(grep -c '^[[:space:]]*Channel: [0-9]' /proc/fs/cifs/DebugData)
    [ "$extra" -ge 3 ] && break
    sleep 0.2
done
echo "channels $extra"
cat /proc/fs/cifs/DebugData >&2

head -c "$((MIB << 20))" /dev/urandom >/tmp/random
echo "sum sent $(sha256sum </tmp/random | cut -d' ' -f1)"
echo waiting
cp /tmp/random /mnt/random && sync -f /mnt/random || echo "FAIL up"
for _ in $(seq 5); do # a request that was being sent when its channel died fails: ask again
    sum=$(sha256sum </mnt/random) && break
    echo "aborted"
done
echo "sum up ${sum%% *}"
umount /mnt || echo "FAIL umount"
echo done
