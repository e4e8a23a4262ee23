"""Parameters of Samba that this server does not have: what to know instead.

They are warnings like all unknown ones (``conf.py``), but who brings a configuration along should
read what becomes of each line.  docs/migration.md has the same list.
"""

from __future__ import annotations

from typing import Final

_ALWAYS: Final = "it is always so here"
_LOG: Final = "`ksmbd-control --debug` and the journal have the log"
_ACCOUNTS: Final = "accounts are made with `ksmbd-adduser`"
_DOMAIN: Final = "there is no membership in a domain"
_PRINT: Final = "there is no printing"
_NETBIOS: Final = "there is no NetBIOS; `ksmbd-discovery` shows the server"
_CHOOSES: Final = "the server chooses by itself"
_KERNEL: Final = "the kernel's defaults are used"
_SMB1: Final = "there is no SMB1"
_INHERIT: Final = "`vfs objects = acl_xattr` inherits as Windows does"
_DFS: Final = "there is no DFS"
_FOLDERS: Final = "the run directory and /etc/ksmbd have what is kept"
_TIMES: Final = "times are as exact as the file system keeps them"
_UTF8: Final = "names are UTF-8 on the disk"
_SCRIPTS: Final = "no programs are run for clients"

EXACT: Final[dict[str, str]] = {
    "aio read size": _CHOOSES,
    "aio write size": _CHOOSES,
    "allocation roundup size": _CHOOSES,
    "blocking locks": _ALWAYS,
    "config file": "name the file with the option --config",
    "csc policy": "it is always `manual` here",
    "cups options": _PRINT,
    "cups server": _PRINT,
    "debug level": _LOG,
    "default case": "names stay as clients write them",
    "delete veto files": "a directory with vetoed files is not empty",
    "disable netbios": _ALWAYS,
    "disable spoolss": _ALWAYS,
    "dns proxy": _NETBIOS,
    "domain logons": _DOMAIN,
    "domain master": _NETBIOS,
    "dos charset": _UTF8,
    "dos filetime resolution": _TIMES,
    "dos filetimes": _TIMES,
    "ea support": _ALWAYS,
    "enable web service discovery": "`ws discovery` says it",
    "encrypt passwords": _ALWAYS,
    "getwd cache": _CHOOSES,
    "host msdfs": _DFS,
    "inherit acls": _INHERIT,
    "inherit permissions": "`force create mode` and POSIX default ACLs serve",
    "kerberos method": "`kerberos support` and `kerberos keytab file` say it",
    "kernel change notify": "`change notify` says it",
    "lanman auth": "NTLMv2 and Kerberos alone are spoken",
    "large readwrite": _ALWAYS,
    "level2 oplocks": "`oplocks` switches all kinds",
    "load printers": _PRINT,
    "local master": _NETBIOS,
    "lock directory": _FOLDERS,
    "locking": _ALWAYS,
    "log file": _LOG,
    "log level": _LOG,
    "logging": _LOG,
    "map acl inherit": _INHERIT,
    "map archive": "`store dos attributes` keeps all attributes",
    "map hidden": "`store dos attributes` keeps all attributes",
    "map readonly": "`store dos attributes` keeps all attributes",
    "map system": "`store dos attributes` keeps all attributes",
    "max log size": _LOG,
    "min receivefile size": _CHOOSES,
    "msdfs root": _DFS,
    "netbios aliases": _NETBIOS,
    "nt acl support": _ALWAYS,
    "ntlm auth": "NTLMv2 and Kerberos alone are spoken",
    "null passwords": "an account has a password; who has none may be a guest",
    "obey pam restrictions": _ACCOUNTS,
    "os level": _NETBIOS,
    "pam password change": _ACCOUNTS,
    "panic action": _SCRIPTS,
    "passdb backend": _ACCOUNTS,
    "passwd chat": _ACCOUNTS,
    "passwd program": _ACCOUNTS,
    "postexec": _SCRIPTS,
    "preexec": _SCRIPTS,
    "preferred master": _NETBIOS,
    "preserve case": _ALWAYS,
    "print ok": _PRINT,
    "printable": _PRINT,
    "printcap cache time": _PRINT,
    "printcap name": _PRINT,
    "printing": _PRINT,
    "private dir": _FOLDERS,
    "read raw": _SMB1,
    "realm": _DOMAIN,
    "registry shares": "the files are all there is",
    "root postexec": _SCRIPTS,
    "root preexec": _SCRIPTS,
    "security": "accounts are the server's own, as with `security = user`",
    "server role": "it is a server on its own, as with `server role = standalone server`",
    "short preserve case": _ALWAYS,
    "show add printer wizard": _PRINT,
    "smb passwd file": _ACCOUNTS,
    "socket options": _KERNEL,
    "spotlight": "the server does not search",
    "state directory": _FOLDERS,
    "strict allocate": "files are as sparse as clients write them",
    "strict sync": _ALWAYS,
    "syslog": _LOG,
    "time server": _NETBIOS,
    "unix charset": _UTF8,
    "unix extensions": f"{_SMB1}; those of SMB 3.1.1 are `smb3 unix extensions`",
    "unix password sync": _ACCOUNTS,
    "use client driver": _PRINT,
    "use sendfile": _CHOOSES,
    "username level": _ACCOUNTS,
    "username map": "an account is the system user of its name, or `force user`",
    "veto oplock files": "`oplocks` is for all files of a share",
    "wins server": _NETBIOS,
    "wins support": _NETBIOS,
    "write cache size": _CHOOSES,
    "write raw": _SMB1,
}
BEGINNINGS: Final[dict[str, str]] = {
    "client ": "it is for Samba's clients",
    "fruit:": "`vfs objects = fruit` and `time machine` are all there is to choose",
    "full_audit:": "records go to `audit log` or to the server's own log",
    "idmap config": _DOMAIN,
    "shadow:": "`basedir`, `format`, `localtime`, `snapdir` and `sort` are all there is to choose",
    "template ": _DOMAIN,
    "usershare ": "`ksmbd-addshare` makes shares",
    "winbind ": _DOMAIN,
}


def instead(key: str) -> str:
    """What to know of Samba's parameter *key*, folded; empty if nothing is known of it."""
    if key in EXACT:
        return EXACT[key]
    return next((text for begin, text in BEGINNINGS.items() if key.startswith(begin)), "")
