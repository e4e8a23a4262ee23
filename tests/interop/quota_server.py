"""ksmbd on a kernel that keeps quotas: what it asks quotactl_fd(2) is answered from memory."""

from __future__ import annotations

from ksmbd import __main__ as ksmbd
from ksmbd.vfs import quota
from tests.support.quotas import Kernel

if __name__ == "__main__":
    setattr(quota, "quotactl", Kernel().quotactl)  # noqa: B010  a function of a module
    ksmbd.main()
