"""The key that signs jobs' identity tokens, and the tokens: RS256 JSON web tokens (contract F.10).

The libraries are imported where they are used: they take 0.1 s, and few jobs want such a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

ALGORITHM: Final = "RS256"
_KEY_BITS: Final = 2048
_EXPONENT: Final = 65537


def make_key() -> str:
    """Return a new private key as PEM text."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def sign(pem: str, claims: Mapping[str, Any]) -> str:
    """Return claims as a signed token that names its key."""
    import jwt

    return jwt.encode(dict(claims), pem, ALGORITHM, headers={"kid": public_key(pem)["kid"]})


def public_key(pem: str) -> dict[str, Any]:
    """Return the public part of a key as a JSON web key (RFC 7517)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    private = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("an identity key is an RSA key")
    numbers: dict[str, Any] = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    required = {name: numbers[name] for name in ("e", "kty", "n")}
    # Its thumbprint (RFC 7638): the same key has the same name after a restart.
    thumbprint = hashlib.sha256(msgspec.json.encode(required, order="sorted")).hexdigest()
    return {**required, "kid": thumbprint, "use": "sig", "alg": ALGORITHM}
