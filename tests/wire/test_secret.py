from __future__ import annotations

from ksmbd.wire.secret import Secret
from tests.support.secrets import found

KEY = bytes(range(0x81, 0x91))


def test_a_secret_is_bytes_that_do_not_show() -> None:
    secret = Secret(KEY)
    assert secret == KEY
    assert f"{secret} {secret!r} %s" % secret == " ".join(["<16 secret bytes>"] * 3)
    assert not found(repr({"a": (secret,)}), KEY)
