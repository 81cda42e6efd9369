"""What an app is called, and what it is in each region (contract E.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import errors

DEFAULT: Final = "default"
# Kinds of containers of executions; a workspace has none (contract C.10). `content` keeps what an
# app was made from, so that it outlives the applet; only its jobs and developers see it.
CACHE: Final = "cache"
RESOURCES: Final = "resources"
CONTENT: Final = "content"
# The keys of a job's settings that name the containers of its app.
OF_JOB: Final = ("resources", "projectCache")

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
_ALIAS: Final = re.compile(r"[A-Za-z0-9._+-]{1,255}")
# What may differ between the regions of an app.
_REGIONAL: Final = {
    "systemRequirements": "systemRequirementsByRegion",
    "bundledDepends": "bundledDependsByRegion",
}


# With these begin the names of the apps that come with the platform, now or later.
KEPT_NAMES: Final = ("create_asset_", "tarball_applet_builder", "tarball_app_builder")


def require_free_name(name: str) -> None:
    """Raise InvalidInput for the name of a new app that one of the platform's may have one day."""
    if name.startswith(KEPT_NAMES):
        raise errors.InvalidInput(
            f'The name "{name}" is kept for apps that come with the platform, as are all that begin'
            f" with {', '.join(KEPT_NAMES)}; choose another one"
        )


def check_name(value: object) -> str:
    """Return the name of an app; raises InvalidInput."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise errors.InvalidInput(
            'Expected key "name" of input to be letters, digits, ".", "_" and "-"'
        )
    return value


def check_alias(value: object, key: str) -> str:
    """Return a version or tag of an app; raises InvalidInput naming the key.

    A version need not be a semantic one: the client warns of others, and then builds them.
    """
    if not isinstance(value, str) or not _ALIAS.fullmatch(value):
        raise errors.InvalidInput(
            f'Expected key "{key}" of input to be letters, digits, ".", "_", "+" and "-"'
        )
    return value


def in_region(run_spec: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return the runSpec of an executable in a region: with its requirements and bundles there."""
    spec = dict(run_spec)
    for name, by_region in _REGIONAL.items():
        found = spec.get(by_region)
        if isinstance(found, dict) and found.get(region) is not None:
            spec[name] = found[region]
    return spec


def merged(applets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an app is whose applets, by region, are these.

    Raises InvalidInput if one has no specification of inputs or outputs, or if they are not the
    same but for what may differ between regions.
    """
    bodies = iter(applets.items())
    first_region, first = next(bodies)
    for key in ("inputSpec", "outputSpec"):
        if first.get(key) is None:
            raise errors.InvalidInput(
                f"The applet has no {key}, which an app must have; build it with one, be it empty"
            )
    for region, body in bodies:
        for key in ("inputSpec", "outputSpec", "runSpec"):
            if _common(body.get(key)) != _common(first.get(key)):
                raise errors.InvalidInput(
                    f"The {key} of the applet for {region} is another than for {first_region};"
                    f" only {' and '.join(_REGIONAL)} may differ"
                )
    spec = _common(first["runSpec"])
    for name, by_region in _REGIONAL.items():
        default: Any = [] if name == "bundledDepends" else {}
        spec[by_region] = {
            region: body["runSpec"].get(name, default) for region, body in applets.items()
        }
        if name in first["runSpec"]:
            spec[name] = first["runSpec"][name]
    kept = ("inputSpec", "outputSpec", "dxapi")
    return {**{key: first[key] for key in kept if key in first}, "runSpec": spec}


def _common(value: Any) -> Any:
    """Return a specification without what may differ between regions."""
    if not isinstance(value, dict):
        return value
    regional = {*_REGIONAL, *_REGIONAL.values()}
    return {key: item for key, item in value.items() if key not in regional}
