#!/bin/busybox sh
# The guest's first program: set up, then run the script, by systemd where there is one.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=linux
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
ln -sf /proc/self/fd /dev/fd
hostname guest

/usr/sbin/modprobe -a virtio_pci virtio_console virtio_net 9pnet_virtio 9p 2>/dev/null
mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072,cache=none shared /shared \
    || { echo "no shared folder" >/dev/console; poweroff -f; }
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0       # no default route: the host's loopback,
ip link set eth0 up                     # which is 10.0.2.2 here, is all there is

cut -d' ' -f1 /proc/uptime >/shared/booted
[ -x /usr/lib/systemd/systemd ] && exec /usr/lib/systemd/systemd
exec /script
