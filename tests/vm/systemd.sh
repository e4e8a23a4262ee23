# The package under systemd: installed, used, killed, hung, replaced, removed.  Run in the guest.
# Given: /shared/old.deb and /shared/new.deb, and /shared/compiled.tar: most modules, compiled, since
# an emulated processor takes a minute for what py3compile does; it has the others to do.
# Prints "ok CHECK" or "FAIL CHECK: why", then what a test compares, "NAME: VALUE".

check() {           # check NAME COMMAND...: its output matters only when it fails
    local name=$1 out; shift
    if out=$("$@" 2>&1); then echo "ok $name"
    else echo "FAIL $name: $(echo "$out" | tail -n 4 | tr '\n' ' ')"; fi
}
told() { echo "$1: $(cat)"; }
property() { systemctl show --value -p "$2" "$1"; }
until_true() {      # until_true COMMAND...: within some minutes
    for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done
    "$@"
}
attach() { mount -t cifs "//127.0.0.1/$1" "$2" -o "username=alice,password=$3,echo_interval=4"; }
both_run() { systemctl is-active ksmbd ksmbd-mountd; }
another_than() { local pid; pid=$(property "$1" MainPID); [ "$pid" != 0 ] && [ "$pid" != "$2" ]; }
recovered() {       # recovered UNIT PID: another process serves, and the mount is of use again
    until_true another_than "$1" "$2" && until_true both_run && until_true cmp /mnt/file /tmp/file
}

install_it() {      # install_it PACKAGE: in two steps, as apt does
    dpkg --unpack "$1" && tar -x -m -C / -f /shared/compiled.tar && dpkg --configure ksmbd &&
        ls /usr/share/ksmbd/discovery/__pycache__/wsd.*.pyc
}
nothing_runs() { ! systemctl is-active ksmbd && [ "$(systemctl is-enabled ksmbd)" = disabled ]; }
is_private() { [ "$(stat -c '%U %G %a' /etc/ksmbd /run/ksmbd)" = "$1" ]; }
add_account() { ksmbd-adduser -a -p secret alice; }
add_share() {
    install -d -o alice -g alice /srv/projects &&
        ksmbd-addshare -a -o 'path = /srv/projects' -o 'read only = no' projects
}
enable_it() { systemctl enable --now ksmbd; }
share_works() {
    attach projects /mnt secret && head -c 300000 /dev/urandom >/tmp/file && cp /tmp/file /mnt/file &&
        [ "$(stat -c %U /srv/projects/file)" = alice ] && cmp /srv/projects/file /tmp/file
}
refused() { ! attach projects /media wrong; }
journal_has() { journalctl --sync; journalctl -q -o cat "$@" | grep .; }
btrfs_share() {     # a file system that shares blocks and compresses, which the host may not have
    modprobe -a loop btrfs crc32c_generic && truncate -s 160M /tmp/btrfs && mkfs.btrfs -q /tmp/btrfs &&
        install -d /srv/btrfs && mount -o loop /tmp/btrfs /srv/btrfs && chown alice: /srv/btrfs
}
clone() {
    cp /tmp/file /media/file && cp --reflink=always /media/file /media/clone &&
        sync -f /srv/btrfs && cmp /tmp/file /srv/btrfs/clone &&
        filefrag -v /srv/btrfs/clone | grep shared
}
compress() { python3 - /media/compressed <<'PYTHON' && lsattr /srv/btrfs/compressed | grep '^[^ ]*c'
import fcntl, struct, sys
GET, SET, COMPRESSED = 0x80086601, 0x40086602, struct.pack("<Q", 4)
with open(sys.argv[1], "w+") as file:  # chattr's open is for reading, and too little
    assert fcntl.ioctl(file, GET, bytes(8)) == bytes(8)
    fcntl.ioctl(file, SET, COMPRESSED)
with open(sys.argv[1]) as file:
    assert fcntl.ioctl(file, GET, bytes(8)) == COMPRESSED
PYTHON
}
reload_it() {
    printf '[more]\n path = /srv/btrfs\n read only = no\n' >>/etc/ksmbd/ksmbd.conf && systemctl reload ksmbd &&
        until_true attach more /media secret
}
kill_it() {         # kill_it UNIT: not a word of farewell
    local pid; pid=$(property "$1" MainPID)
    kill -9 "$pid" && recovered "$1" "$pid"
}
patience() {        # patience WATCHDOG: of systemd, with an emulated processor whose host is busy, too
    local unit; for unit in ksmbd ksmbd-mountd ksmbd-discovery; do
        mkdir -p "/run/systemd/system/$unit.service.d" &&
            printf '[Service]\nTimeoutStartSec=400\nTimeoutStopSec=100\n' \
                >"/run/systemd/system/$unit.service.d/patience.conf" || return
    done
    echo "WatchdogSec=$1" >>/run/systemd/system/ksmbd.service.d/patience.conf
}
upgrade() {         # the options are the administrator's
    local pid; pid=$(property ksmbd MainPID)
    echo 'KSMBD_OPTIONS=--max-workers 12' >/etc/default/ksmbd &&
        patience 20 && install_it /shared/new.deb && recovered ksmbd "$pid" &&
        ksmbd-control -V | grep -F "$(dpkg-query -W -f '${Version}' ksmbd)"
}
hang_it() {
    local pid; pid=$(property ksmbd MainPID)
    kill -STOP "$pid" && recovered ksmbd "$pid" && journal_has -u ksmbd --grep 'Watchdog timeout'
}
hang_is_explained() { journal_has -u ksmbd --grep 'Aborted' && journal_has -u ksmbd --grep '^Thread 0x'; }
option_is_kept() { ksmbd-control status | grep 'at most 12'; }
both_rest() { [ "$(systemctl is-active ksmbd ksmbd-mountd | sort -u)" = inactive ]; }
stop_it() {         # mountd stops beside it, and systemctl waits for what it was asked to stop only
    umount -l /mnt; systemctl stop ksmbd && until_true both_rest && ! ss -Hltn | grep ':445 '
}
neighbourhood() { systemctl start ksmbd-discovery && systemctl is-active ksmbd-discovery; }
purge() { dpkg -P ksmbd && [ ! -e /etc/ksmbd ] && [ ! -e /usr/share/ksmbd ] && [ ! -e /usr/sbin/ksmbd ]; }

mkdir -p /media
patience 60
systemctl is-system-running | told system
check install install_it /shared/old.deb
check installing-starts-nothing nothing_runs
check folders is_private "$(printf 'root ksmbd 2770\nroot ksmbd 1775')"
check add-account add_account
check add-share add_share
check enable enable_it
check both-run both_run
property ksmbd StatusText | told status
check share share_works
check wrong-password refused
check journal-by-account journal_has SMB_USER=alice SMB_CLIENT=127.0.0.1 SMB_COMPONENT=auth
journalctl -q -o cat -t ksmbd SMB_COMPONENT=auth -p info | tail -n 1 | told logged
check journal-of-mountd journal_has -t ksmbd.mountd
check btrfs btrfs_share
check reload reload_it
check clone clone
check compress compress
umount /media
check kill-server kill_it ksmbd
check kill-mountd kill_it ksmbd-mountd
check upgrade upgrade
check option-is-kept option_is_kept
check neighbourhood neighbourhood
check hang hang_it
check hang-is-explained hang_is_explained
check stop stop_it
systemctl --failed --no-legend --no-pager | tr '\n' ' ' | told failed
for unit in ksmbd ksmbd-mountd ksmbd-discovery; do
    systemd-analyze security --no-pager "$unit" | sed -n 's/.*exposure level.*: \([0-9.]*\).*/\1/p' |
        told "exposure $unit"
done
check purge purge
echo done
