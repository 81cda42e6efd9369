"""Which features of the vendor's platform a project has (contract K.4)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, keys
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access, Container

FEATURES_MAX: Final = 100


@method("/project-xxxx/checkFeatureAccess", access=Access.VIEW)
async def check_feature_access(
    call: Call, target: Container, body: dict[str, Any]
) -> dict[str, Any]:
    """Say of each feature that is asked for that the project has it: nothing is sold here."""
    wanted = _read(body)
    if len(wanted) > FEATURES_MAX:
        raise errors.InvalidInput(
            f'Expected key "features" of input to name at most {FEATURES_MAX} features'
        )
    return {"features": dict.fromkeys(wanted, True)}


def _read(body: dict[str, Any]) -> list[str]:
    """Return the features that are asked for: in an array, or as the keys of a hash."""
    given = keys.require(body, "features")
    return list(given) if isinstance(given, dict) else keys.strings(body, "features") or []
