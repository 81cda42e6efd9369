"""Signed paths for the bytes of files: whoever has one may do just what it says, for a time.

The signature is an HMAC over the claim, so nothing is stored, and the same claim gives the same
path.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any, Final, TypeVar

import msgspec

from plasmid.domain import errors

UPLOADS: Final = "/U/"
DOWNLOADS: Final = "/F/"
_SIGNATURE_BYTES: Final = 20


class UploadClaim(msgspec.Struct, frozen=True, array_like=True):
    """The bearer may put one part of a file, of this size and MD5 if they are given."""

    file: str
    part: int
    size_bytes: int | None
    md5: str | None
    expires_ms: int


class DownloadClaim(msgspec.Struct, frozen=True, array_like=True):
    """The bearer may read a file; owner and duration only make different questions differ."""

    file: str
    owner: str
    duration_ms: int
    expires_ms: int


T = TypeVar("T", UploadClaim, DownloadClaim)


def upload_path(key: bytes, claim: UploadClaim) -> str:
    """Return the path to which the part is put."""
    return f"{UPLOADS}{claim.file}/{_signed(key, UPLOADS, claim)}"


def download_path(key: bytes, claim: DownloadClaim) -> str:
    """Return the path from which the file is read; a file name may follow it."""
    return f"{DOWNLOADS}{claim.file}/{_signed(key, DOWNLOADS, claim)}"


def verify(key: bytes, path: str, kind: type[T], now_ms: int) -> T:
    """Return the claim of a path; raises PermissionDenied if it is forged or has expired."""
    prefix = UPLOADS if kind is UploadClaim else DOWNLOADS
    pieces = path.removeprefix(prefix).split("/")
    try:
        payload = _decoded(pieces[1])
        claim = msgspec.json.decode(payload[_SIGNATURE_BYTES:], type=kind)
    except (IndexError, ValueError, msgspec.MsgspecError) as error:
        raise errors.PermissionDenied("This link is damaged; ask for a new one") from error
    good = hmac.compare_digest(
        payload[:_SIGNATURE_BYTES], _signature(key, prefix, payload[_SIGNATURE_BYTES:])
    )
    if not good or claim.file != pieces[0]:
        raise errors.PermissionDenied("This link is not one of this platform; ask for a new one")
    if claim.expires_ms <= now_ms:
        raise errors.PermissionDenied("This link has expired; ask for a new one")
    return claim


def _signed(key: bytes, prefix: str, claim: Any) -> str:
    payload = msgspec.json.encode(claim)
    return base64.urlsafe_b64encode(_signature(key, prefix, payload) + payload).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signature(key: bytes, prefix: str, payload: bytes) -> bytes:
    return hmac.digest(key, prefix.encode() + payload, "sha256")[:_SIGNATURE_BYTES]
