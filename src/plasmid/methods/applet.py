"""Applets: make, get, run (contract E.4)."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import https_app, io_spec, keys, links, object_states, run_spec
from plasmid.metadata import objects
from plasmid.methods import creation, levels, running, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject
from plasmid.methods.wire import data_object as wire

DEFAULT_ACCESS: Final = {"project": "VIEW"}
_KEPT: Final = (
    "dxapi", "title", "summary", "description", "developerNotes", "ignoreReuse",
    "treeTurnaroundTimeThreshold",
)  # fmt: skip


@method("/applet/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Create an applet from what a dxapp.json says, its code inlined; it is closed at once."""
    given = await creation.initialised(call, body, "applet")
    keys.check_depth(given)
    spec = run_spec.check_run_spec(given.get("runSpec"))
    for name in ("title", "summary", "description", "developerNotes"):
        keys.string(given, name)
    keys.boolean(given, "ignoreReuse")
    content = {name: given[name] for name in _KEPT if given.get(name) is not None}
    web_app = https_app.check(given)
    if web_app is not None:
        content[https_app.FIELD] = web_app
    content["runSpec"] = spec
    content["access"] = run_spec.check_access(given.get("access"), default=DEFAULT_ACCESS)
    for name in ("inputSpec", "outputSpec"):
        checked = io_spec.check_spec(given.get(name), where=name)
        if checked is not None:
            content[name] = checked
    bundled = links.object_ids(spec.get("bundledDepends"))
    await _require_visible(call, [*bundled, *links.object_ids(spec.get("bundledDependsByRegion"))])
    state = object_states.born("applet")
    return Ref(
        await creation.create(
            call, "applet", given, state=state, content={"body": content, "links": bundled}
        )
    )


async def _require_visible(call: Call, bundled: list[str]) -> None:
    """Raise ResourceNotFound for what exists and is not the caller's: a job's workspace gets it.

    What exists nowhere is no secret; the job that wants it fails, and says so.
    """
    for object_id in bundled:
        if await objects.find_object(call.reader, object_id) is not None:
            await targets.get_data_object(call, object_id)


@method("/applet-xxxx/get", access=Access.OBJECT_VIEW)
async def get(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Describe an applet as it was given, its code with it, so that it can be built again."""
    await levels.require_code(call, *(place.container for place, _ in target.places))
    described = await wire.describe(call.reader, target.row, target.place, {"details": True})
    region = await wire.region_of(call.reader, target.place)
    body = target.row.body
    if not described[https_app.FIELD]["enabled"]:
        del described[https_app.FIELD]
    access = body["access"]
    return described | {
        "runSpec": {**run_spec.UNSAID, **wire.run_spec(target.row, region)},
        "title": body.get("title", ""),
        "access": {} if access == DEFAULT_ACCESS else access,
    }


@method("/applet-xxxx/run", access=Access.OBJECT_VIEW, mode=Mode.WRITE, nonce=True)
async def run(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Start a job of the applet."""
    return Ref(await running.run(call, target, body))
