"""The archival states of a file in a container, and what each allows (contract C.9).

| state       | download, run | clone                     | archive | unarchive |
|-------------|---------------|---------------------------|---------|-----------|
| live        | yes           | yes                       | yes     | no        |
| archival    | no            | where the same entity pays | no      | yes       |
| archived    | no            | where the same entity pays | no      | yes       |
| unarchiving | no            | no                        | no      | no        |

A copy whose archival was asked for is `archival` until no other copy that the same entity pays for
is live; then all of them are `archived`. The bytes stay where they are in each state.
"""

from __future__ import annotations

from typing import Final

from plasmid.domain import errors

LIVE: Final = "live"
ARCHIVAL: Final = "archival"
ARCHIVED: Final = "archived"
UNARCHIVING: Final = "unarchiving"
# How long a file is on its way back; clients look for `unarchiving` 20 s after they asked.
UNARCHIVING_MS: Final = 40_000
RATES: Final = ("Expedited", "Standard", "Bulk")


def state_of(kept: str | None, until_ms: int | None, now_ms: int) -> str:
    """Return the state of a copy from what is kept of it; `unarchiving` passes by itself."""
    if kept == UNARCHIVING and until_ms is not None and until_ms <= now_ms:
        return LIVE
    return kept or LIVE


def require_live(object_id: str, state: str, purpose: str) -> None:
    """Refuse with InvalidState to use a copy that is not live."""
    if state == LIVE:
        return
    remedy = "wait until it is live" if state == UNARCHIVING else "unarchive it first"
    raise errors.InvalidState(
        f"The file {object_id} cannot be {purpose}: its archivalState is {state}; {remedy}"
    )


def require_clonable(object_id: str, state: str, *, same_payer: bool) -> None:
    """Refuse with InvalidState to clone a copy that is moving, or that others would pay for."""
    if state == UNARCHIVING:
        require_live(object_id, state, "cloned")
    if state != LIVE and not same_payer:
        raise errors.InvalidState(
            f"The file {object_id} cannot be cloned to a project with another billTo: its "
            f"archivalState is {state}; unarchive it first"
        )
