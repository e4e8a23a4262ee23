# What the kernel's SMB client negotiates with `seal`, and whether the bytes arrive; run in the guest.
# Given: HOST PORT SMBUSER SMBPASS, and MOUNTS, an array of "SHARE OPTIONS [256]".
# Prints "mounted SHARE OPTIONS: CIPHER SEALED", "same ..." or "refused SHARE OPTIONS: ERRNO".

modprobe cifs
# the client forgets a connection some seconds after the last umount; a new one is wanted each time
common="port=$PORT,username=$SMBUSER,password=$SMBPASS,nosharesock"
head -c 3000001 /dev/urandom >/tmp/random

for line in "${MOUNTS[@]}"; do
    read -r share options long <<<"$line"
    echo "${long:+1}" | sed 's/^$/0/' >/sys/module/cifs/parameters/require_gcm_256
    if ! why=$(mount -t cifs "//$HOST/$share" /mnt -o "$common,$options" 2>&1); then
        echo "refused $line: $(sed -n 's/^mount error(\([0-9]*\)).*/\1/p' <<<"$why")"
        continue
    fi
    sealed=$(grep -c 'DISK.*encrypted' /proc/fs/cifs/DebugData)
    cipher=$(smbinfo keys /mnt 2>/dev/null | sed -n 's/^Cipher: .*(\(.*\))$/\1/p')
    echo "mounted $line: ${cipher:-none} $sealed"
    cp /tmp/random /mnt/random && umount /mnt &&
        mount -t cifs "//$HOST/$share" /mnt -o "$common,$options" &&
        cmp /tmp/random /mnt/random && rm /mnt/random && echo "same $line"
    umount /mnt
done
echo done
