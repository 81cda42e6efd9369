"""The addresses of names inside a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.network import names


def test_each_name_has_an_address_of_its_own_and_keeps_it() -> None:
    known = names.Names()
    first, second = known.address("a.test"), known.address("b.test")
    assert first != second
    assert known.address("a.test") == first
    assert (known.name(first), known.name(second)) == ("a.test", "b.test")


def test_an_address_that_was_not_given_is_nobodys() -> None:
    known = names.Names()
    known.address("a.test")
    for address in ("198.18.0.0", "198.18.0.2", "198.18.255.255", "192.0.2.1", "2001:db8::1"):
        assert known.name(address) is None
    assert names.is_given("198.18.255.255")
    assert not names.is_given("198.19.0.0")
    assert not names.is_given("2001:db8::1")


def test_another_process_knows_the_same_addresses(tmp_path: Path) -> None:
    before = names.Names(tmp_path / "names")
    addresses = {name: before.address(name) for name in ("a.test", "b.test", "c.test")}
    after = names.Names(tmp_path / "names")
    assert {name: after.address(name) for name in addresses} == addresses
    assert after.address("d.test") not in addresses.values()


def test_names_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "NAMES_MAX", 2)
    known = names.Names()
    first = known.address("a.test")
    known.address("b.test")
    with pytest.raises(names.TooManyNamesError, match="2 different hosts"):
        known.address("c.test")
    assert known.address("a.test") == first
