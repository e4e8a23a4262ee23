"""mountd/host_names.py: what the resolver said, for a minute."""

from __future__ import annotations

from mountd.host_names import MAX_ENTRIES, TTL_S, HostNames, resolve, reverse
from tests.mountd.fakes import Clock


class Resolver:
    def __init__(self) -> None:
        self.forward = {"a.example": {"10.0.0.1", "::5"}, "liar.example": {"10.0.0.9"}}
        self.backward = {"10.0.0.1": "A.Example.", "10.0.0.2": "liar.example"}
        self.asked = 0

    def resolve(self, name: str) -> frozenset[str]:
        self.asked += 1
        return frozenset(self.forward.get(name, ()))

    def reverse(self, address: str) -> str:
        self.asked += 1
        return self.backward.get(address, "")


def names(clock: Clock, resolver: Resolver) -> HostNames:
    return HostNames(clock, resolve=resolver.resolve, reverse=resolver.reverse)


def test_a_name_has_its_addresses() -> None:
    found = names(Clock(), Resolver())
    assert found.has("a.example", "10.0.0.1")
    assert found.has("a.example", "::5")
    assert not found.has("a.example", "10.0.0.2")
    assert not found.has("b.example", "10.0.0.1")


def test_an_address_has_a_name_only_if_it_leads_back() -> None:
    found = names(Clock(), Resolver())
    assert found.of("10.0.0.1") == "a.example"
    assert found.of("10.0.0.2") == ""
    assert found.of("10.0.0.3") == ""


def test_answers_are_remembered_for_a_time() -> None:
    clock, resolver = Clock(), Resolver()
    found = names(clock, resolver)
    for _ in range(5):
        found.of("10.0.0.1")
        found.of("10.0.0.3")
    assert resolver.asked == 3
    resolver.backward["10.0.0.3"] = "liar.example"
    resolver.forward["liar.example"] = {"10.0.0.3"}
    assert found.of("10.0.0.3") == ""
    clock.now += TTL_S
    assert found.of("10.0.0.3") == "liar.example"


def test_memory_is_bounded() -> None:
    resolver = Resolver()
    found = names(Clock(), resolver)
    for number in range(MAX_ENTRIES + 10):
        found.has(f"h{number}", "10.0.0.1")
    found.has("h0", "10.0.0.1")
    assert resolver.asked == MAX_ENTRIES + 11


def test_the_real_resolver_knows_this_machine_and_survives_nonsense() -> None:
    assert "127.0.0.1" in resolve("localhost")
    assert resolve("x" * 300) == frozenset()
    assert reverse("127.0.0.1") != "127.0.0.1"
    assert reverse("junk") == ""
