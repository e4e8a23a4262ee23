# Does the kernel's SMB client go on writing when the server dies and comes back?  Run in the guest.
# Given: HOST PORT SMBUSER SMBPASS, and MOUNTS, an array of options.  The host kills and restarts the
# server when copy-N has begun to grow.  Prints "error N", "same N" and "done".

modprobe cifs
common="port=$PORT,username=$SMBUSER,password=$SMBPASS,nosharesock,cache=none,hard,echo_interval=2"
chunks=24
head -c $((chunks * 65536)) /dev/urandom >/tmp/random

for number in "${!MOUNTS[@]}"; do
    mount -t cifs "//$HOST/ca" /mnt -o "$common,${MOUNTS[number]}" || echo "error $number: mount"
    grep -o 'persistenthandles\|resilienthandles' /proc/mounts
    exec 3>"/mnt/copy-$number"
    for ((chunk = 0; chunk < chunks; chunk++)); do
        dd if=/tmp/random bs=64k skip=$chunk count=1 status=none >&3 || echo "error $number: write"
        sleep 0.2
    done
    exec 3>&- || echo "error $number: close"
    cmp /tmp/random "/mnt/copy-$number" && echo "same $number"
    umount /mnt
done
echo done
