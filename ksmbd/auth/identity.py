"""Who a session acts as."""

from __future__ import annotations

from dataclasses import dataclass, field

from ksmbd.wire.marked import Account


@dataclass(slots=True)
class Identity:
    """The authenticated user of one session, fixed from log-on to reauthentication."""

    account: str  # the name under which the account is kept, "" if anonymous
    domain: str  # as the client sent it
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    guest: bool = False  # let in without proof: SessionFlags IS_GUEST
    anonymous: bool = False  # null session: SessionFlags IS_NULL
    workstation: str = ""  # what the client calls itself; Kerberos' do not say
    session_key: bytes = field(default=b"", repr=False)  # the mechanism's, whole

    def __post_init__(self) -> None:
        self.account = Account(self.account)

    @property
    def can_sign(self) -> bool:
        """Whether both sides hold the session key; messages of others are never signed."""
        return not (self.guest or self.anonymous)

    def same_user(self, other: Identity) -> bool:
        """Whether *other* is the same user, as reauthentication and PreviousSessionId demand."""
        return (self.account.casefold(), self.uid, self.guest, self.anonymous) == (
            other.account.casefold(),
            other.uid,
            other.guest,
            other.anonymous,
        )
