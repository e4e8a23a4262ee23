"""The ways in which a secret could be written down by mistake."""

from __future__ import annotations

import base64


def forms(secret: bytes | str) -> set[str]:
    """As text, hexadecimal, base64, numbers, and as Python shows bytes."""
    if isinstance(secret, str):
        return {secret}.union(*(forms(secret.encode(code)) for code in ("utf-8", "utf-16-le")))
    written = {
        secret.hex(),
        secret.hex(" "),
        secret.hex(":"),
        base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        ", ".join(map(str, secret)),
        repr(bytes(secret))[2:-1],
        secret.decode("latin-1"),
        str(int.from_bytes(secret, "little")),
        str(int.from_bytes(secret, "big")),
    }
    return written | {form.upper() for form in written}


def found(text: str, *secrets: bytes | str) -> list[str]:
    """The forms of *secrets* that stand in *text*."""
    return [form for secret in secrets for form in forms(secret) if form in text]
