# The kernel's SMB client at work; run in the guest, once for all option sets.
# Given: HOST PORT SHARE SMBUSER SMBPASS, and OPTION_SETS, an array of mount options.
# Prints "ok SET CHECK" or "FAIL SET CHECK: why", and "sum SET SHA256 PATH" for the tree it leaves.

source_tree=$(echo /usr/lib/python3.*/)
parts="asyncio json http"
number=0

check() {           # check NAME COMMAND...: its output matters only when it fails
    local name=$1 out; shift
    if out=$("$@" 2>&1); then echo "ok $set $name"
    else echo "FAIL $set $name: $(echo "$out" | tail -n 4 | tr '\n' ' ')"; fi
}
attach() {
    mount -t cifs "//$HOST/$SHARE" /mnt \
        -o "port=$PORT,username=$SMBUSER,password=$SMBPASS,$set"
}
again() { umount /mnt && attach; }     # what follows comes from the server, not from the cache

copy_in() { for p in $parts; do cp -r "$source_tree$p" "$d/tree/" || return; done; }
compare_in() { for p in $parts; do diff -r "$source_tree$p" "$d/tree/$p" || return; done; }
copy_out() { rm -rf /tmp/out; cp -r "$d/tree" /tmp/out; }
compare_out() { for p in $parts; do diff -r "$source_tree$p" "/tmp/out/$p" || return; done; }

rename_file() { echo one >"$d/a" && mv "$d/a" "$d/b" && [ ! -e "$d/a" ] && [ "$(cat "$d/b")" = one ]; }
rename_over() { echo two >"$d/c" && mv -f "$d/c" "$d/b" && [ "$(cat "$d/b")" = two ] && [ ! -e "$d/c" ]; }
rename_folder() { mkdir -p "$d/from/sub" && echo x >"$d/from/sub/f" && mv "$d/from" "$d/to" && [ "$(cat "$d/to/sub/f")" = x ]; }
rename_into() { mv "$d/b" "$d/to/sub/b" && [ "$(cat "$d/to/sub/b")" = two ]; }

make_data() { head -c 1000000 /tmp/random >"$d/data" && head -c 1000000 /tmp/random >/tmp/data; }
truncate_shorter() { truncate -s 12345 "$d/data" /tmp/data && again && cmp "$d/data" /tmp/data; }
truncate_longer() { truncate -s 70001 "$d/data" /tmp/data && again && cmp "$d/data" /tmp/data; }
append() { for i in 1 2 3; do echo "line $i" | tee -a "$d/data" >>/tmp/data; done; again && cmp "$d/data" /tmp/data; }
write_inside() { for f in "$d/data" /tmp/data; do
    printf middle | dd of="$f" bs=1 seek=5000 conv=notrunc status=none || return; done
    again && cmp "$d/data" /tmp/data; }
mmap_read() { python3 -c '
import mmap, sys
with open(sys.argv[1], "rb") as f, open("/tmp/random", "rb") as g:
    with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert view[:] == g.read(), "differs"' "$d/random"; }
mmap_write() { python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as f, mmap.mmap(f.fileno(), 0) as view:
    view[4090:4100] = b"0123456789"; view.flush()' "$d/random" && again &&
    [ "$(dd if="$d/random" bs=1 skip=4090 count=10 status=none)" = 0123456789 ]; }
big_copy() { cp /tmp/random "$d/random" && again && cmp /tmp/random "$d/random"; }

writers() {
    mkdir "$d/many" || return
    for i in $(seq 20); do
        ( for block in 1 2 3 4; do
              head -c 65536 /tmp/random >>"$d/many/$i" || exit 1
              echo "$i $block" >>"$d/many/$i" || exit 1
          done ) &
        pids[i]=$!
    done
    for i in $(seq 20); do wait "${pids[i]}" || return; done
    again || return
    for i in $(seq 20); do
        for block in 1 2 3 4; do head -c 65536 /tmp/random; echo "$i $block"; done | cmp - "$d/many/$i" || return
    done
}
many_names() { mkdir "$d/names" && ( cd "$d/names" && touch $(seq 300) ) && again &&
    [ "$(ls "$d/names" | wc -l)" = 300 ] && rm -r "$d/names" && [ ! -e "$d/names" ]; }
odd_names() { for n in 'größe ☃' 'two  spaces' 'colon:name' 'star*name' 'quote"name' 'end.' 'end '; do
    echo "$n" >"$d/$n" && [ "$(cat "$d/$n")" = "$n" ] && ls "$d" | grep -qxF "$n" && rm "$d/$n" || { echo "$n"; return 1; }; done; }
times() { touch -d '2001-02-03 04:05:06.5 UTC' "$d/data" && again &&
    [ "$(stat -c %Y "$d/data")" = "$(date -d '2001-02-03 04:05:06 UTC' +%s)" ]; }
locks() { flock "$d/data" sh -c "! flock -n '$d/data' true"; }
open_unlinked() { exec 7<>"$d/gone" && echo here >&7 && rm "$d/gone" && exec 7>&- && again && [ ! -e "$d/gone" ]; }
not_empty() { mkdir -p "$d/full/x" && ! rmdir "$d/full" 2>/dev/null && rm -r "$d/full"; }
hard_link() { ln "$d/data" "$d/linked" && [ "$(stat -c %h "$d/data")" = 2 ] && rm "$d/linked"; }
attributes() { setfattr -n user.color -v blue "$d/data" &&
    [ "$(getfattr --only-values -n user.color "$d/data")" = blue ]; }
space() { df -P /mnt | tail -n 1 | { read -r _ total used free _; [ "$total" -gt 0 ] && [ "$free" -gt 0 ]; }; }
sums() { ( cd "$d" && find tree many -type f -exec sha256sum {} + ) | sed "s/^\([0-9a-f]*\) */sum $set \1 /"; }

python3 -c '
import os
b = os.urandom(1 << 20)
with open("/tmp/random", "wb") as f:
    for i in range(8):
        f.write(i.to_bytes(4, "big") + b[4:])'

for set in "${OPTION_SETS[@]}"; do
    number=$((number + 1))
    d=/mnt/set-$number
    check mount attach
    grep -q ' /mnt cifs ' /proc/mounts || continue
    check mkdir mkdir -p "$d/tree"
    check copy-in copy_in
    check remount again
    check compare-in compare_in
    check copy-out copy_out
    check compare-out compare_out
    check rename-file rename_file
    check rename-over rename_over
    check rename-folder rename_folder
    check rename-into rename_into
    check make-data make_data
    check truncate-shorter truncate_shorter
    check truncate-longer truncate_longer
    check append append
    check write-inside write_inside
    check big-copy big_copy
    check mmap-read mmap_read
    check mmap-write mmap_write
    check twenty-writers writers
    check many-names many_names
    check odd-names odd_names
    check times times
    check locks locks
    check open-unlinked open_unlinked
    check not-empty not_empty
    check hard-link hard_link
    check attributes attributes
    check df space
    sums
    check unmount umount /mnt
done
echo done
