"""Apps, as far as there are any: those that come with the platform (contract E.5)."""

from __future__ import annotations

from typing import Any

from plasmid.methods import running
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject
from plasmid.methods.wire import app as wire


@method("/app-xxxx/describe", access=Access.LOGIN)
async def describe(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an app, without its code."""
    return wire.describe(target.row, target.place.name, body, regions=call.platform.regions)


@method("/app-xxxx/get", access=Access.LOGIN)
async def get(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an app with its code and details: those that come with the platform are open."""
    regions = call.platform.regions
    described = wire.describe(target.row, target.place.name, {}, regions=regions)
    return described | {"runSpec": wire.run_spec(target.row, regions)}


@method("/app-xxxx/run", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def run(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Start a job of the app."""
    return Ref(await running.run(call, target, body))
