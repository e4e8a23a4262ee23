# The kernel's SMB client with tickets, run in the guest. It reaches no KDC: all is in the cache.
# Given: HOST ADDRESS PORT, and MOUNTS, an array of "OPTIONS [256]"; /shared has krb5.conf and ccache.
# Prints "mounted OPTIONS: TYPE CIPHER SEALED" and "same OPTIONS", or "refused OPTIONS: ERRNO".

modprobe cifs
echo "$ADDRESS $HOST" >>/etc/hosts
cp /shared/krb5.conf /etc/krb5.conf
# nosharesock: the client forgets a connection some seconds after the last umount
common="port=$PORT,nosharesock"
head -c 1000001 /dev/urandom >/tmp/random

attempt() {
    options=$1
    if ! why=$(mount -t cifs "//$HOST/share" /mnt -o "$common,$options" 2>&1); then
        echo "refused $line: $(sed -n 's/^mount error(\([0-9]*\)).*/\1/p' <<<"$why")"
        return
    fi
    type=$(sed -n 's/.*Security type: \([A-Za-z0-9]*\).*/\1/p' /proc/fs/cifs/DebugData | sort -u)
    sealed=$(grep -c 'DISK.*encrypted' /proc/fs/cifs/DebugData)
    cipher=$(smbinfo keys /mnt 2>/dev/null | sed -n 's/^Cipher: .*(\(.*\))$/\1/p')
    echo "mounted $line: $type ${cipher:-none} $sealed"
    cp /tmp/random /mnt/random && umount /mnt &&
        mount -t cifs "//$HOST/share" /mnt -o "$common,$options" &&
        cmp /tmp/random /mnt/random && rm /mnt/random && echo "same $line"
    umount /mnt
}

line="sec=krb5 without a ticket"
attempt sec=krb5
cp /shared/ccache /tmp/krb5cc_0
for line in "${MOUNTS[@]}"; do
    read -r options long <<<"$line"
    echo "${long:+1}" | sed 's/^$/0/' >/sys/module/cifs/parameters/require_gcm_256
    attempt "$options"
done
echo done
