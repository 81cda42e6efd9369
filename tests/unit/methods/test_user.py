"""Users (contract J.5, H.1)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.test_ssh_access import ED25519
from tests.worlds import BOB, World

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n"


async def test_of_oneself_more_is_said_than_of_others(world: World) -> None:
    others = {
        "id": "user-alice", "class": "user", "first": "Alice", "middle": "", "last": "Test",
        "handle": "alice",
    }  # fmt: skip
    assert await world.describe("user-alice", as_=BOB) == others
    assert await world.describe("user-alice") == {
        **others,
        "email": "alice@example.com",
        "billTo": "user-alice",
        "appsInstalled": [],
        "permittedRegions": list(world.platform.regions),
    }
    assert world.platform.regions[0] == "aws:us-east-1"
    assert "azure:westus" in world.platform.regions


async def test_fields_choose_what_comes(world: World) -> None:
    asked = {"handle": True, "sshPublicKey": True, "email": True}
    assert await world.describe("user-alice", fields=asked) == {
        "handle": "alice", "email": "alice@example.com"
    }  # fmt: skip
    assert await world.describe("user-alice", as_=BOB, fields=asked) == {"handle": "alice"}


async def test_an_unknown_user_is_not_found(world: World) -> None:
    refusal = await world.refused("/user-nobody/describe")
    assert (refusal.type, refusal.message) == (
        "ResourceNotFound", "The entity user-nobody could not be found"
    )  # fmt: skip


async def test_a_public_key_is_kept_byte_for_byte_until_it_is_unset(world: World) -> None:
    key = f"{ED25519} alice@host ü \n\n"
    assert await world.call("/user-alice/update", {"sshPublicKey": key}) == {"id": "user-alice"}
    assert (await world.describe("user-alice"))["sshPublicKey"] == key
    assert "sshPublicKey" not in await world.describe("user-alice", as_=BOB)
    for _ in range(2):
        await world.call("/user-alice/update", {"sshPublicKey": None})
        assert "sshPublicKey" not in await world.describe("user-alice")


@pytest.mark.parametrize(
    "key, text",
    [
        (PRIVATE, "Tried to put a private key in the sshPublicKey field"),
        (5, '"sshPublicKey"'),
        ("nonsense", '"sshPublicKey"'),
    ],
)
async def test_a_wrong_key_is_refused(world: World, key: Any, text: str) -> None:
    refusal = await world.refused("/user-alice/update", {"sshPublicKey": key})
    assert (refusal.type, text in refusal.message) == ("InvalidInput", True)
    assert "sshPublicKey" not in await world.describe("user-alice")


async def test_an_account_is_changed_by_its_user_only(world: World) -> None:
    refusal = await world.refused("/user-alice/update", {"sshPublicKey": "x"}, as_=BOB)
    assert refusal.type == "PermissionDenied"
