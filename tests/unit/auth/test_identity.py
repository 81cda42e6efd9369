"""The key of identity tokens: its name stays, and no two are alike (contract F.10)."""

from __future__ import annotations

import jwt
import pytest

from plasmid.auth import identity


def test_a_key_keeps_its_name_and_another_key_has_another() -> None:
    one, other = identity.make_key(), identity.make_key()
    assert identity.public_key(one)["kid"] == identity.public_key(one)["kid"]
    assert identity.public_key(one)["kid"] != identity.public_key(other)["kid"]


def test_only_the_public_half_is_published() -> None:
    assert set(identity.public_key(identity.make_key())) == {"kty", "e", "n", "kid", "use", "alg"}


def test_a_token_that_was_changed_is_not_verified() -> None:
    key = identity.make_key()
    head, body, signature = identity.sign(key, {"job_id": "job-1"}).split(".")
    public = jwt.PyJWK(identity.public_key(key))
    assert jwt.decode(f"{head}.{body}.{signature}", public) == {"job_id": "job-1"}
    forged = identity.sign(identity.make_key(), {"job_id": "job-2"}).split(".")[1]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{forged}.{signature}", public)
