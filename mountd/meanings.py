"""What each parameter of ksmbd.conf means: the sentences of the reference, ``document.py``."""

from __future__ import annotations

from typing import Final

# attribute of GlobalParams -> what it does
GLOBAL: Final[dict[str, str]] = {
    "aapl_model": "The model that Apple's clients are told, and choose an icon by.",
    "audit_log": "The file that gets the records of shares with `vfs objects = full_audit`, of "
    "log-ons, and what audit entries of SACLs ask for: one JSON object a line, mode 0600. Empty: "
    "log-ons are not recorded, and the others go to the server's log.",
    "audit_log_count": "So many earlier files are kept, as `.1`, `.2` and so on.",
    "audit_log_failure": "With `audit log`: whether log-ons that are refused are recorded, and "
    "tree connects to any share, whether there is one of that name or not.",
    "audit_log_size": "A file of this size makes room for another; 0: it grows, or is rotated by "
    "somebody else, whom the server follows.",
    "audit_log_success": "With `audit log`: whether log-ons and log-offs are recorded, and tree "
    "connects and disconnects of all shares; those of shares with `full_audit` are as these say.",
    "bind_interfaces_only": "Listen on the addresses of `interfaces` alone, also on those that "
    "come later; otherwise, and where `interfaces` is empty, on all.",
    "deadtime": "After so many minutes an idle connection without open files is closed; 0: never.",
    "default_unix_user": "The system user for whom an account acts that has no system user of its "
    "name. Empty: such accounts are refused (or become guests: `map to guest = bad uid`).",
    "failed_logon_window": "After so many minutes without another wrong password they are "
    "forgotten: `max failed logons`.",
    "guest_account": "The system user guests act as.",
    "interfaces": "Names of network interfaces, with wildcards, addresses or networks. Clients "
    'are told of these alone, with multichannel; `"eth0;speed=10000000000,capability=RSS"` tells '
    "of one what the system does not: bits a second, and that several connections are worth while. "
    "An address with such options need not be this machine's: a router may forward it.",
    "ipc_timeout": "After so many seconds without a sign of life from mountd all connections are "
    "closed; 0: never. It is also how long a request to mountd may take.",
    "kerberos_keytab_file": "The keytab; empty: the library's own.",
    "kerberos_service_name": "The service, as in cifs/server.example.org; empty: any of the "
    "keytab.",
    "kerberos_support": "Accept Kerberos tickets; needs the Python module gssapi. A ticket's name "
    "is the account, without the realm if that is the keytab's.",
    "map_to_guest": "Who becomes a guest: nobody, who names an unknown account, also who has a "
    "wrong password, or who is right but has no system user.",
    "max_active_sessions": "Most sessions at a time; 0 is the most there can be, 65536.",
    "max_connections": "Most connections at a time; 0 is the most there can be, 65536.",
    "max_failed_logons": "So many wrong passwords for an account from one address are answered at "
    "once. After them one more is looked at, a second later the next, then after 2, 4 and more "
    "seconds, up to 60; what comes before its time waits for at most 5 seconds or is refused, be "
    "the password right or wrong. A right password ends it. The same goes for 5 times as many "
    "from one address for any accounts, and for 10 times as many for an account from anywhere, "
    "with one a second; but whoever logged on from an address before is not held up there by "
    "what others try. 0: passwords are always looked at.",
    "max_ip_connections": "Most connections from one IPv4 address, or one IPv6 network of 64 bits; "
    "0 is the most there can be, 65536.",
    "max_open_files": "Most open files of all clients together; 0 is the most there can be, "
    "1048576. Each takes a descriptor of the server.",
    "max_user_sessions": "Most sessions of one user at a time, all guests together being one; 0 is "
    "the most there can be, 65536.",
    "metrics": "Count requests by command, share and status, which costs each four "
    "or five microseconds; `metrics address` and `metrics file` do so, too. `ksmbd-control "
    "status` and `ksmbd-control metrics` show what was counted.",
    "metrics_address": "Where Prometheus may fetch the metrics, over HTTP: a loopback address with "
    "a port, such as 127.0.0.1:9445, or the absolute path of a Unix socket. Empty: nowhere.",
    "metrics_file": "A file that has the metrics, written anew every 15 seconds: for the textfile "
    "collector of node_exporter, which wants a name that ends in `.prom`. Empty: none.",
    "multicast_dns_register": "`ksmbd-discovery` shows the server to Finder and Linux desktops, by "
    "mDNS.",
    "netbios_name": "The server's name in log-ons and RPC.",
    "restrict_anonymous": "1 and 2 keep guests and anonymous users from `IPC$`, and so from the "
    "list of shares.",
    "root_directory": "Stands before the path of every share.",
    "server_max_protocol": "The newest dialect that is spoken.",
    "server_min_protocol": "The oldest dialect that is spoken.",
    "server_multi_channel_support": "Let a session use several connections, up to 32: clients of "
    "SMB 3 then ask for our network interfaces and connect to more of them.",
    "server_signing": "`mandatory`: every session is signed, and guests are refused. Otherwise "
    "the client decides.",
    "server_smb3_encryption_algorithms": "The ciphers of SMB 3.1.1, the preferred one first; by "
    "default the one that costs least. SMB 3.0 and 3.0.2 know AES-128-CCM alone and do without "
    "encryption where it is not in the list.",
    "server_smb3_signing_algorithms": "How SMB 3.1.1 may sign, the preferred algorithm first.",
    "server_string": "The server's description, which clients show.",
    "share_fake_fscaps": "Bits that are added to the capabilities of a volume; 64: sparse files.",
    "slow_request_log": "A request that takes so many milliseconds is a line in the server's log: "
    "command, path, user, client, and how long it was queued, handled, waited and was sent; 0: "
    "none is. What CHANGE_NOTIFY, LOCK and pipes wait for does not count: their clients want it.",
    "smb2_leases": "Grant leases, which clients of SMB 2.1 and later keep for all opens of a file "
    "together, and of a directory. Oplocks are granted without it, too.",
    "smb2_max_credits": "Most requests that a client may have under way.",
    "smb2_max_read": "The longest READ.",
    "smb2_max_trans": "The longest QUERY_INFO, SET_INFO, QUERY_DIRECTORY and IOCTL.",
    "smb2_max_write": "The longest WRITE.",
    "smb3_encryption": "`required` (`mandatory`): every session is encrypted, and clients that "
    "cannot, guests among them, are refused. `desired`: the sessions of all clients that can are "
    "encrypted. `off` (`disabled`): none is, and shares that require it cannot be used. Otherwise "
    "clients and shares decide.",
    "smb3_unix_extensions": "Offer the POSIX extensions to clients of SMB 3.1.1 that ask for them, "
    "as Linux does with the mount option `posix`: names that differ in case alone or have "
    "characters that Windows reserves, permissions and owners as they are on the disk.",
    "smbd_max_io_size": "The longest transfer over SMB Direct.",
    "tcp_port": "Where to listen; the option `--port` of either daemon goes before it.",
    "workgroup": "The workgroup that clients are told.",
    "ws_discovery": "`ksmbd-discovery` shows the server to Windows' Explorer, by WS-Discovery.",
}

# attribute of ShareParams -> what it does
SHARE: Final[dict[str, str]] = {
    "access_based_share_enum": "Leave the share out of the lists of those whom `valid users`, "
    "`invalid users` and the like keep out of it.",
    "acl_xattr_ignore_system_acls": "With `acl_xattr`: the stored list alone decides who may do "
    "what with a file. Its mode lets everybody read and write, and so every local user who can "
    "reach the directory; without it mode and POSIX ACL follow the list, and refuse what they "
    "cannot say.",
    "admin_users": "In `[global]`: accounts, `@groups` and `+groups` that administer the server: "
    "over RPC they see and end sessions and open files, and add, change and delete shares; they "
    "see and set users' quotas. On a share it gives no rights and is a warning.",
    "allow_insecure_wide_links": "With `follow symlinks`: follow symbolic links that lead out of "
    "the share, too. Whoever can make a symbolic link in the share, by another service or by this "
    "one, can then read and write every file that the account's system user can.",
    "available": "`no` takes the share away without deleting its section.",
    "browseable": "Show the share in lists; it can be connected either way.",
    "case_sensitive": "Tell names apart that differ by case alone.",
    "change_notify": "Tell clients what changes in directories they watch. Without it they are "
    "told that the server cannot, and look for themselves.",
    "comment": "What clients show beside the name.",
    "continuous_availability": "Offer persistent handles: files stay open over the end of the "
    "server process, with their locks and caches. Each such open, and each change of what it "
    "holds, is written to a small database in the run directory.",
    "create_mask": "Of rwxrwxrwx the bits that new files may have.",
    "crossmnt": "Let paths lead onto other file systems that are mounted below the share.",
    "directory_mask": "Of rwxrwxrwx the bits that new directories may have.",
    "durable_handles": "Let clients keep files open over a lost connection: durable and resilient "
    "handles.",
    "follow_symlinks": "Follow symbolic links that stay inside the share; without it a link is "
    "shown as what it is, and is not followed. What leads out of the share is followed only with "
    "`wide links`.",
    "force_create_mode": "Mode bits that new files always have.",
    "force_directory_mode": "Mode bits that new directories always have; 2000 hands the group of a "
    "directory on to what is made in it.",
    "force_group": "The group everybody acts with on the share.",
    "force_user": "The system user everybody acts as on the share.",
    "full_audit_failure": "With `full_audit`: of which operations failures are recorded.",
    "full_audit_prefix": "With `full_audit`: a text that each record has as `prefix`; `%u` and "
    "`%U` stand for the account, `%I` for the client's address, `%m` for its name as it says "
    "itself, `%i` for our address, `%S` for the share.",
    "full_audit_success": "With `full_audit`: which operations are recorded when they succeed, by "
    "our names or those of Samba's VFS; `!` takes one out again. `open` is both `open` and "
    "`create`. What there is nothing to record of is accepted and means nothing.",
    "guest_account": "The system user guests of this share act as; empty: the global one.",
    "guest_ok": "Let guests in.",
    "guest_only": "Take everybody for a guest.",
    "hide_dot_files": "Give names that begin with a dot the attribute hidden.",
    "hide_files": "Names that are shown with the attribute hidden; * and ? are wildcards.",
    "hide_unreadable": "Leave out of listings and of notifications what the user may not read "
    "(Windows' access-based enumeration). Costs a look at every entry's rights.",
    "hosts_allow": "Hosts that may connect; wins over `hosts deny`, and alone it denies everybody "
    "else but this machine itself. In `[global]` it says who may log on, too, whatever a share "
    "says. A name is one the resolver knows for the client's address, `.example.org` all of a "
    "domain; a name of an address counts only if it leads back to it. `LOCAL` is this machine and "
    "what has a name without a dot.",
    "hosts_deny": "Hosts that may not connect. Name addresses here: where the resolver does not "
    "answer, nobody has a name.",
    "inherit_owner": "New files belong to the owner of their directory.",
    "invalid_users": "Accounts, `@groups` and `+groups` that may not connect.",
    "kernel_oplocks": "Clients cache only what a lease of the kernel stands behind: a local "
    "program that opens the file waits until they have written back what they kept. Who may write "
    "a file caches it only while nobody else has it open.",
    "mangled_names": "Listings tell the 8.3 name of each file that has a longer one, and patterns "
    "find it; made from the long name and always the same. A file that is removed and "
    "made again within 15 seconds gets its long name and its creation time back. `illegal` is "
    "taken for `no`. Files open by these names in any case, but not with `case sensitive`.",
    "max_connections": "Most tree connects at a time; 0: no limit.",
    "oplocks": "Let clients cache files and directories, by oplocks and leases. Turn it off where "
    "local programs write what clients have open: without `kernel oplocks` they do not break the "
    "caches.",
    "path": "The directory that is served. A share without one is not served.",
    "posix_locking": "Local programs and nfsd see clients' byte-range locks as fcntl(2) locks, and "
    "theirs are in the clients' way.",
    "read_list": "Accounts, `@groups` and `+groups` that may only read, whatever `read only` says.",
    "read_only": "Nobody may write.",
    "recycle_directory_mode": "With `recycle`: mode bits of the repository, which belongs to "
    "whoever deletes first. Who cannot write in it deletes for good, so let all write who delete.",
    "recycle_exclude": "With `recycle`: names that are deleted for good; * and ? are wildcards.",
    "recycle_exclude_dir": "With `recycle`: names of directories in which, and below which, files "
    "are deleted for good; * and ? are wildcards. What has a slash is a path from the share's "
    "root.",
    "recycle_keeptree": "With `recycle`: keep a file in the repository in the directories that it "
    "was in.",
    "recycle_maxsize": "With `recycle`: bigger files are deleted for good; 0: none.",
    "recycle_minsize": "With `recycle`: smaller files are deleted for good; 1: empty ones.",
    "recycle_noversions": "With `recycle:versions`: names of which only the last file is kept; * "
    "and ? are wildcards.",
    "recycle_repository": "With `recycle`: the directory of the share where deleted files go; made "
    "at need, and never through a symbolic link. What is deleted there is deleted for good.",
    "recycle_subdir_mode": "With `recycle`: mode bits of directories in the repository; 0: those "
    "of the repository.",
    "recycle_touch": "With `recycle`: the access time becomes the time of the deletion.",
    "recycle_touch_mtime": "With `recycle`: the write time becomes that, too.",
    "recycle_versions": "With `recycle`: keep a file though the repository has one of its name "
    "already, as `Copy #1 of` it; without, the last one replaces the one before.",
    "shadow_basedir": "With `shadow_copy2`: the directory that each snapshot is a copy of, in "
    "which the share lies; empty: the mount point of its file system.",
    "shadow_format": "With `shadow_copy2`: how strftime(3) makes the name of a snapshot's "
    "directory of its time. Directories with other names are no snapshots.",
    "shadow_localtime": "With `shadow_copy2`: the times in these names are the machine's own, not "
    "UTC.",
    "shadow_snapdir": "With `shadow_copy2`: the directory that holds the snapshots; relative to "
    "the mount point of the share's file system if it is not absolute.",
    "shadow_sort": "With `shadow_copy2`: clients are told the newest snapshot first (`desc`) or "
    "last.",
    "smb_encrypt": "`required` (`mandatory`): the share is only used encrypted, and clients that "
    "cannot, guests among them, are refused. `desired`: clients that can use it encrypted. "
    "Otherwise, also with `off`, `smb3 encryption` of `[global]` and the client decide.",
    "store_dos_attributes": "Keep DOS attributes and creation times in the xattr user.DOSATTRIB.",
    "streams_xattr_samba_format": "Streams lie on the disk as Samba's streams_xattr keeps them, "
    "with one byte more at the end, instead of as ksmbd does. For directories that Samba serves "
    "too, or did; a stream in the other format reads with a byte too many or too few.",
    "strict_locking": "`yes`: reading and writing fail where a local program has a lock in the "
    "way, which costs a system call each; with `posix locking`. Locks of clients always count.",
    "time_machine": "Offer the share to Apple's Time Machine, as `fruit` and with the promise that "
    "what a client flushes is on the disk; `ksmbd-discovery` shows it to Macs as a place for "
    "backups. `durable handles` and `smb2 leases` must be on.",
    "time_machine_max_size": "With `time machine`: how large clients see the share, and how full "
    "by what the backups in it take; 0: as the disk.",
    "valid_users": "Accounts, `@groups` and `+groups` that may connect; empty: all.",
    "veto_files": "Names that are neither shown nor opened nor created; * and ? are wildcards.",
    "vfs_objects": "`acl_xattr`: Windows' access control lists are kept whole, in the xattr "
    "security.NTACL. `streams_xattr`: files and directories have alternate data streams, kept in "
    "the xattrs user.DosStream.*, if the file system has user xattrs. `fruit`: "
    "Apple's clients are offered their extensions of the protocol. `recycle`: files that clients "
    "delete are moved into a directory of the share, as the parameters `recycle:` say. "
    "`full_audit`: what clients do is recorded, as the parameters `full_audit:` and `audit log` "
    "say. "
    "`shadow_copy2`: clients see previous versions of files, out of the snapshots that the "
    "parameters `shadow:` name. Who sets this parameter names all that is wanted: without "
    "`streams_xattr` there are no streams then. Other names are ignored with a warning.",
    "volume": "The label of the volume; empty: the share's name.",
    "write_list": "Accounts, `@groups` and `+groups` that may write, whatever `read only` says.",
}

# what this version reads, checks and passes on without anything behind it
PLANNED: Final = frozenset(
    {
        "smbd_max_io_size",
    }
)
