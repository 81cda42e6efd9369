"""Tags and properties of jobs and analyses, as those of data objects (contract F.10, D.1.5)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import properties
from plasmid.metadata import analyses, jobs
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access

Row = JobRow | AnalysisRow


def _routes(verb: str) -> list[str]:
    return [f"/{class_name}-xxxx/{verb}" for class_name in ("job", "analysis")]


@method(*_routes("addTags"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def add_tags(call: Call, target: Row, body: dict[str, Any]) -> Ref:
    """Add tags to a job or an analysis."""
    given = properties.given_tags(body)
    return await _update(call, target, {"tags": properties.with_added(target.tags, given)})


@method(*_routes("removeTags"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def remove_tags(call: Call, target: Row, body: dict[str, Any]) -> Ref:
    """Take tags from a job or an analysis."""
    given = properties.given_tags(body)
    return await _update(call, target, {"tags": properties.without(target.tags, given)})


@method(*_routes("setProperties"), access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def set_properties(call: Call, target: Row, body: dict[str, Any]) -> Ref:
    """Set properties of a job or an analysis; null removes one."""
    given = properties.check_property_changes(body.get("properties"))
    changed = properties.with_changes(target.properties, given)
    return await _update(call, target, {"properties": changed})


async def _update(call: Call, target: Row, changes: dict[str, Any]) -> Ref:
    if isinstance(target, JobRow):
        await jobs.update_job(call.tx, target.id, changes)
    else:
        await analyses.update_analysis(call.tx, target.id, changes)
    return Ref(target.id)
