"""The form in which workflows leave the API (contract E.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import workflow_body
from plasmid.domain.workflow_spec import Interface
from plasmid.metadata.rows import ObjectRow, PlacementRow
from plasmid.metadata.workflows import Latest

# These depend on what the caller may see, or on other tables.
SPECS: Final = ("inputSpec", "outputSpec")
STAGES: Final = "stages"
LATEST: Final = "latestAnalysis"
FIELDS: Final = (
    "title", "summary", "description", "outputFolder", "editVersion", "temporary", STAGES,
    "inputs", "outputs", *SPECS, "ignoreReuse", "initializedFrom", LATEST, "dxapi",
    workflow_body.TURNAROUND,
)  # fmt: skip
_PLAIN: Final = ("outputFolder", "editVersion", "inputs", "outputs")
_IF_GIVEN: Final = ("initializedFrom", "dxapi", workflow_body.TURNAROUND)


def describe(row: ObjectRow, place: PlacementRow) -> dict[str, Any]:
    """Return what is a workflow's own, but for what depends on the caller."""
    body = row.body
    described: dict[str, Any] = {name: body.get(name) for name in _PLAIN}
    described["title"] = body.get("title") or place.name
    described["temporary"] = bool(body.get("temporary"))
    # `dx build --globalworkflow --from` wants a list
    described["ignoreReuse"] = body.get("ignoreReuse") or []
    for name in ("summary", "description"):
        described[name] = body.get(name) or ""
    for name in _IF_GIVEN:
        if body.get(name) is not None:
            described[name] = body[name]
    return described


def stages(
    body: Mapping[str, Any], interfaces: Mapping[str, Interface | None]
) -> list[dict[str, Any]]:
    """Return a workflow's stages, each with whether the caller can run it."""
    return [
        {**stage, "accessible": interfaces.get(stage["id"]) is not None}
        for stage in body.get("stages") or []
    ]


def specs(found: Interface | None) -> dict[str, Any]:
    """Return inputSpec and outputSpec, null if a stage is not accessible."""
    if found is None:
        return dict.fromkeys(SPECS)
    return {"inputSpec": found.inputs, "outputSpec": found.outputs}


def latest(found: Latest | None) -> dict[str, Any] | None:
    """Return the newest run as a workflow names it."""
    if found is None:
        return None
    return {"id": found.id, "created": found.created_ms, "state": found.state}
