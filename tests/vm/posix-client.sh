# Special files, the POSIX extensions, access lists, attributes and storage with the kernel's client;
# run in the guest, once for all option sets.
# Given: HOST PORT SHARE SMBUSER SMBPASS, and OPTION_SETS, an array of mount options; STORED, a share
# that stores access lists; OTHER, a Unix id, and FOREIGN, a SID, of nobody.
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

write_eas() { echo x >"$d/eas" && setfattr -n user.color -v blue "$d/eas" &&
    setfattr -n user.gone -v soon "$d/eas" && setfattr -x user.gone "$d/eas"; }
read_eas() { [ "$(getfattr --absolute-names -d "$d/eas" | sed '1d;/^$/d' | sort)" = 'user.color="blue"' ]; }
fill_file() { head -c 8M /dev/urandom >/tmp/data && for f in punched zeroed cut; do cp /tmp/data "$d/$f" || return; done; }
same_bytes() {
    cp /tmp/data /tmp/hole && fallocate -p -o 1M -l 4M /tmp/hole || return
    cmp /tmp/hole "$d/punched" && cmp /tmp/hole "$d/zeroed" &&
        { head -c 1M /tmp/data; tail -c 7274496 /tmp/data; } | cmp - "$d/cut"
}
find_hole() { python3 - "$d/punched" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
found = os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, 2 << 20, os.SEEK_DATA)
assert found == (1 << 20, 5 << 20), found
PYTHON
}

storage() {
    check write-eas write_eas
    check fill fill_file
    check punch fallocate -p -o 1M -l 4M "$d/punched"
    check zero fallocate -z -o 1M -l 4M "$d/zeroed"
    check collapse fallocate -c -o 1M -l 64K "$d/cut"
    check reserve fallocate -l 3M "$d/reserved"
    check again again
    check read-eas read_eas
    check same-bytes same_bytes
    check find-hole find_hole
}

owner() { getcifsacl -r "$1" | sed -n 's/^OWNER://p' | grep S-1-; }
ace() { getcifsacl -r "$1" | tr X x | grep -ixF "ACL:$2" || { getcifsacl -r "$1"; return 1; }; }
write_acl() {       # READ is with execution
    echo data >"$d/file" && cp "$d/file" "$d/cut" && cp "$d/file" "$d/changed" && owner "$d/file" >/tmp/owner &&
        setcifsacl -S "ACL:$(cat /tmp/owner):ALLOWED/0x0/FULL,ACL:S-1-1-0:ALLOWED/0x0/READ" "$d/file" &&
        setcifsacl -a "ACL:S-1-22-1-$OTHER:ALLOWED/0x0/FULL" "$d/file" &&
        setcifsacl -S "ACL:$(cat /tmp/owner):ALLOWED/0x0/READ" "$d/cut" && chmod 640 "$d/changed"
}
read_acl() {        # no Unix user but the owner may change rights
    ace "$d/file" "$(cat /tmp/owner):0x0/0x0/0x1f01ff" && ace "$d/file" "S-1-1-0:0x0/0x0/0x1200a9" &&
        getcifsacl -r "$d/file" | grep -i "^ACL:S-1-5-21-.*-$OTHER:0x0/0x0/0x1201bf" && mode changed 640
}
store_acl() {       # where descriptors are stored, what names nobody here stays too
    echo data >"$d/stored" && setcifsacl -a "ACL:$FOREIGN:DENIED/0x0/0x2" "$d/stored" &&
        setcifsacl -a "ACL:$FOREIGN:ALLOWED/0x0/READ" "$d/stored"
}
read_stored() { ace "$d/stored" "$FOREIGN:0x1/0x0/0x2" && ace "$d/stored" "$FOREIGN:0x0/0x0/0x1200a9"; }
remove_ace() {
    setcifsacl -D "ACL:$FOREIGN:DENIED/0x0/0x2" "$d/stored" && again &&
        ! ace "$d/stored" "$FOREIGN:0x1/0x0/0x2" && ace "$d/stored" "$FOREIGN:0x0/0x0/0x1200a9"
}

rights() {
    check write-acl write_acl
    check again again
    check read-acl read_acl
}
stored_rights() {
    check store-acl store_acl
    check again again
    check read-stored read_stored
    check remove-ace remove_ace
}

write_by_mode() { ( umask 027 && echo >"$d/640" && mkdir "$d/750" && umask 0 && echo >"$d/666" && mkdir "$d/777" ); }
change_modes() { chmod 751 "$d/666" && chmod 1777 "$d/777"; }
read_by_mode() { mode 640 640 && mode 750 750 && mode 666 751 && mode 777 1777; }

modes() {
    check write-by-mode write_by_mode
    check change-modes change_modes
    check again again
    check read-by-mode read_by_mode
    (cd "$d" && stat -c "stat $set %a %h %s %n" 640 750 666 777)
}

for set in "${OPTION_SETS[@]}"; do
    case $set in *modefromsid*) SHARE=$STORED ;; esac
    d=/mnt/${set//[,=]/-}
    check mount attach || continue
    mkdir "$d"
    case $set in
        posix*) special; posix; storage ;;
        cifsacl) rights ;;
        cifsacl,modefromsid) stored_rights; modes ;;
        *) special ;;
    esac
    umount /mnt
done
echo done
