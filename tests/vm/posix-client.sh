# Special files and the POSIX extensions with the kernel's client; run in the guest, once for all
# option sets.  Given: HOST PORT SHARE SMBUSER SMBPASS, and OPTION_SETS, an array of mount options.
# Prints "ok SET CHECK" or "FAIL SET CHECK: why", and "stat SET MODE NLINK SIZE NAME" of files.

check() {           # check NAME COMMAND...: its output matters only when it fails
    local name=$1 out; shift
    if out=$("$@" 2>&1); then echo "ok $set $name"
    else echo "FAIL $set $name: $(echo "$out" | tail -n 4 | tr '\n' ' ')"; fi
}
attach() {
    mount -t cifs "//$HOST/$SHARE" /mnt \
        -o "port=$PORT,username=$SMBUSER,password=$SMBPASS,vers=3.1.1,$set"
}
again() { umount /mnt && attach; }     # what follows comes from the server, not from the cache
is() { local kind; kind=$(stat -c %F "$d/$1") && [ "$kind" = "$2" ] || { echo "$1 is: $kind"; return 1; }; }
holds() { [ "$(cat "$d/$1")" = "$2" ]; }
mode() { local found; found=$(stat -c %a "$d/$1") && [ "$found" = "$2" ] || { echo "$1 has $found"; return 1; }; }

make_symlink() { echo data >"$d/target" && ln -s target "$d/link"; }
disk_symlink() { [ "$(readlink "/mnt/disk/link")" = ../a/b ] && is ../disk/fifo fifo; }
make_socket() { python3 -c "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])" "$d/socket"; }
read_symlink() { [ "$(readlink "$d/link")" = target ] && [ "$(cat "$d/link")" = data ]; }
see_devices() { [ "$(stat -c %t:%T "$d/char")" = 4:40 ] && [ "$(stat -c %t:%T "$d/block")" = 8:1 ]; }
make_hardlink() { ln "$d/target" "$d/hard" && [ "$(stat -c %h "$d/target")" = 2 ]; }
remove_all() { rm "$d/link" "$d/fifo" "$d/char" "$d/block" "$d/socket"; }

special() {
    check make-symlink make_symlink
    check make-fifo mkfifo "$d/fifo"
    check make-char mknod "$d/char" c 4 64
    check make-block mknod "$d/block" b 8 1
    check make-socket make_socket
    check again again
    check see-symlink is link "symbolic link"
    check read-symlink read_symlink
    check see-fifo is fifo fifo
    check see-char is char "character special file"
    check see-block is block "block special file"
    check see-socket is socket socket
    check see-devices see_devices
    check see-the-disk-s disk_symlink
    check make-hardlink make_hardlink
    check remove remove_all
}

write_case() { echo a >"$d/name" && echo b >"$d/Name" && echo c >"$d/NAME"; }
read_case() { holds name a && holds Name b && holds NAME c; }
write_reserved() { echo x >"$d/a:b*?<>|\"" && mkdir "$d/d:?" && echo y >"$d/d:?/in" && echo z >"$d/dot."; }
read_reserved() { holds "a:b*?<>|\"" x && holds "d:?/in" y && holds dot. z; }
write_modes() { ( umask 027 && echo >"$d/640" && mkdir "$d/750" && umask 0 && echo >"$d/666" ); }
read_modes() { mode 640 640 && mode 750 750 && mode 666 666; }
change_mode() { chmod 1731 "$d/666" && again && mode 666 1731; }
rename_case() { mv "$d/Name" "$d/nAME" && holds nAME b && holds name a; }
rename_over() { mv "$d/nAME" "$d/NAME" && again && holds NAME b; }
rename_reserved() { mv "$d/dot." "$d/new:name?" && again && holds "new:name?" z; }
unlink_open() { python3 - "$d/gone" <<'PYTHON'
import os, sys
with open(sys.argv[1], "w+") as file:
    file.write("kept"); file.flush()
    os.unlink(sys.argv[1])
    with open(sys.argv[1], "x") as other: other.write("new")
    file.seek(0)
    assert file.read() == "kept"
with open(sys.argv[1]) as file: assert file.read() == "new"
PYTHON
}

posix() {
    check write-case write_case
    check write-reserved write_reserved
    check write-modes write_modes
    check again again
    check read-case read_case
    check read-reserved read_reserved
    check read-modes read_modes
    check change-mode change_mode
    check rename-case rename_case
    check rename-over rename_over
    check rename-reserved rename_reserved
    check unlink-open unlink_open
    (cd "$d" && stat -c "stat $set %a %h %s %n" name NAME 640 666 "a:b*?<>|\"" hard)
}

for set in "${OPTION_SETS[@]}"; do
    d=/mnt/${set//[,=]/-}
    check mount attach || continue
    mkdir "$d"
    special
    case $set in *posix*) posix;; esac
    umount /mnt
done
echo done
