"""Sessions of people at the web applications of jobs: cookies that are signed, links for one use.

A cookie is good for one job and as long as the token with which its owner has logged in. It ends
when it was not used for 15 minutes, and after 12 hours. Nothing of it is stored; how lately it was
used is remembered too, so that what goes on in a websocket counts.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

IDLE_MS: Final = 15 * 60_000
LONGEST_MS: Final = 12 * 3_600_000
RENEWED_AFTER_MS: Final = 60_000
CODE_MS: Final = 60_000
REMEMBERED_MAX: Final = 10_000
_PURPOSE: Final = b"app-session:"
_SIGNATURE_BYTES: Final = 32


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Somebody who has logged in to a job's web application with a token, kept as its hash."""

    id: str
    job: str
    token_hash: str
    began_ms: int
    used_ms: int


class Opening(msgspec.Struct, frozen=True):
    """What a link for one use stands for."""

    job: str
    token_hash: str
    expires_ms: int


class AppSessions:
    """The sessions of a platform; a link that was not used yet ends with this process."""

    def __init__(self, key: bytes, randomness: Callable[[int], bytes]) -> None:
        self._key = key
        self._randomness = randomness
        self._used_ms: dict[str, int] = {}
        self._openings: dict[str, Opening] = {}

    def offer(self, opening: Opening, now_ms: int) -> str:
        """Return a code by which an opening can be taken once, until it expires."""
        self._openings = {
            code: kept for code, kept in self._openings.items() if kept.expires_ms > now_ms
        }
        while len(self._openings) >= REMEMBERED_MAX:
            del self._openings[next(iter(self._openings))]
        code = self._randomness(32).hex()
        self._openings[code] = opening
        return code

    def take(self, code: str, now_ms: int) -> Opening | None:
        """Return what a code stands for, once; None if it stands for nothing any more."""
        found = self._openings.pop(code, None)
        return found if found is not None and found.expires_ms > now_ms else None

    def begin(self, opening: Opening, now_ms: int) -> Session:
        """Return a new session."""
        return Session(self._randomness(16).hex(), opening.job, opening.token_hash, now_ms, now_ms)

    def cookie(self, session: Session) -> str:
        """Return the value of a session's cookie."""
        payload = msgspec.json.encode(session)
        return base64.urlsafe_b64encode(self._signature(payload) + payload).decode().rstrip("=")

    def read(self, value: str, now_ms: int) -> Session | None:
        """Return the session of a cookie; None if it is forged, damaged or over."""
        try:
            signed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except ValueError:
            return None
        payload = signed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signed[:_SIGNATURE_BYTES], self._signature(payload)):
            return None
        session = msgspec.json.decode(payload, type=Session)
        return None if self.is_over(session, now_ms) else session

    def is_over(self, session: Session, now_ms: int) -> bool:
        """Say whether a session was idle for too long, or has lasted as long as any may."""
        used_ms = max(session.used_ms, self._used_ms.get(session.id, 0))
        return now_ms >= used_ms + IDLE_MS or self.has_lasted(session, now_ms)

    def has_lasted(self, session: Session, now_ms: int) -> bool:
        """Say whether a session has lasted as long as any may."""
        return now_ms >= session.began_ms + LONGEST_MS

    def use(self, session: Session, now_ms: int) -> Session | None:
        """Remember that a session is used now; return it anew if its cookie has become old."""
        if session.id not in self._used_ms and len(self._used_ms) >= REMEMBERED_MAX:
            self._forget(now_ms)
        self._used_ms[session.id] = now_ms
        if now_ms - session.used_ms < RENEWED_AFTER_MS:
            return None
        return msgspec.structs.replace(session, used_ms=now_ms)

    def _forget(self, now_ms: int) -> None:
        """Forget the sessions that are over by now, and then the oldest ones."""
        kept = {name: used for name, used in self._used_ms.items() if used + IDLE_MS > now_ms}
        while len(kept) >= REMEMBERED_MAX:
            del kept[next(iter(kept))]
        self._used_ms = kept

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + payload, "sha256")
