"""The forms in which data objects leave the API (contract D.1.2, E.4, P.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import archival, https_app
from plasmid.metadata import objects, projects
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.methods.wire import fields, workflow

COMMON: Final = (
    "id", "project", "class", "types", "created", "state", "hidden", "links", "name", "folder",
    "sponsored", "tags", "modified", "createdBy",
)  # fmt: skip
OF_CLASS: Final[dict[str, tuple[str, ...]]] = {
    "file": ("media", "size", "archivalState", "cloudAccount"),
    "record": ("size",),
    "applet": (
        "dxapi", "title", "summary", "description", "developerNotes", "access", "runSpec",
        "inputSpec", "outputSpec", "ignoreReuse", "httpsApp", "treeTurnaroundTimeThreshold",
    ),
    "workflow": workflow.FIELDS,
}  # fmt: skip
ON_REQUEST: Final = ("properties", "details", "parts", "sponsoredUntil", "headline")


async def describe(
    reader: Reader,
    row: ObjectRow,
    place: PlacementRow,
    options: Mapping[str, Any],
    *,
    now_ms: int = 0,
    seen: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of an object in one container that the options ask for.

    What passes by itself is as it is at `now_ms`; `seen` is what depends on who asks.
    """
    asked = wanted(row, options)
    described = _common(row, place)
    if row.class_name == "file":
        described.update(_file(row, place, now_ms))
    elif row.class_name == "record":
        described["size"] = 0
    elif row.class_name == "applet":
        described.update(applet(row, place, await region_of(reader, place)))
    elif row.class_name == "workflow":
        described.update(workflow.describe(row, place))
    described.update(seen or {})
    described = {name: value for name, value in described.items() if name in asked}
    if "properties" in asked:
        described["properties"] = place.properties
    if "details" in asked:
        described["details"] = row.details
    if "parts" in asked and row.class_name == "file":
        described["parts"] = await _parts(reader, row.id)
    return described


def wanted(row: ObjectRow, options: Mapping[str, Any]) -> set[str]:
    """Return the names of the fields that a describe of an object asks for."""
    defaults = (*COMMON, *OF_CLASS.get(row.class_name, ()))
    return fields.selected(options, defaults, ON_REQUEST) | {"id"}


def _common(row: ObjectRow, place: PlacementRow) -> dict[str, Any]:
    created_by = {"user": row.created_by}
    if row.created_by_job:
        created_by["job"] = row.created_by_job
    if row.created_by_executable:
        created_by["executable"] = row.created_by_executable
    return {
        "id": row.id,
        "project": place.container,
        "class": row.class_name,
        "types": row.types,
        "created": row.created_ms,
        "state": row.state,
        "hidden": row.hidden,
        "links": row.links,
        "name": place.name,
        "folder": place.folder,
        "sponsored": False,
        "tags": place.tags,
        "modified": place.modified_ms,
        "createdBy": created_by,
    }


def _file(row: ObjectRow, place: PlacementRow, now_ms: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "archivalState": archival.state_of(place.archival_state, place.archival_until_ms, now_ms),
        "cloudAccount": "cloudaccount-dnanexus",
    }
    if row.media is not None:
        described["media"] = row.media
    if row.size_bytes is not None:
        described["size"] = row.size_bytes
    return described


def run_spec(row: ObjectRow, region: str) -> dict[str, Any]:
    """Return an applet's runSpec with its mirrors by region, of which it has one (contract E.2)."""
    spec = row.body["runSpec"]
    return {
        **spec,
        "bundledDependsByRegion": {region: spec.get("bundledDepends", [])},
        "systemRequirementsByRegion": {region: spec.get("systemRequirements", {})},
    }


def applet(row: ObjectRow, place: PlacementRow, region: str) -> dict[str, Any]:
    """Return what is an applet's own, without its code."""
    body = row.body
    spec = run_spec(row, region)
    described = {
        "dxapi": body.get("dxapi", "1.0.0"),
        "title": body.get("title") or place.name,
        "summary": body.get("summary", ""),
        "description": body.get("description", ""),
        "developerNotes": body.get("developerNotes", ""),
        "access": body["access"],
        "runSpec": {name: value for name, value in spec.items() if name != "code"},
        "ignoreReuse": body.get("ignoreReuse", False),
        "httpsApp": https_app.of_executable(body.get(https_app.FIELD)),
    }
    for name in ("inputSpec", "outputSpec", "treeTurnaroundTimeThreshold"):
        if body.get(name) is not None:
            described[name] = body[name]
    return described


async def region_of(reader: Reader, place: PlacementRow) -> str:
    """Return the region of the container in which an object lies."""
    container = await projects.find_container(reader, place.container)
    return container.region if container else ""


async def _parts(reader: Reader, file_id: str) -> dict[str, Any]:
    return {
        str(part.part): {"state": part.state, "size": part.size_bytes, "md5": part.md5}
        for part in await objects.find_parts(reader, file_id)
    }
