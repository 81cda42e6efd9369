"""Find projects (contract B.5); finders of what does not exist here yet are truthfully empty."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from plasmid.domain import conditions, errors, filters, globs
from plasmid.domain.access import Level
from plasmid.domain.filters import Projects
from plasmid.metadata import orgs, projects
from plasmid.metadata.rows import ContainerRow
from plasmid.methods import levels
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields
from plasmid.methods.wire import project as wire

YIELD_EVERY: Final = 100


@method("/system/findProjects", access=Access.LOGIN)
async def find_projects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find projects the caller has a level on; public ones only when `public` asks for them."""
    question = filters.read_projects(body)
    require_regions(call, question)
    own = await orgs.find_reachable(call.reader, call.user)
    public = await projects.find_memberships(call.reader, projects.PUBLIC)
    candidates = {item for item in own if item.startswith("project-")}
    if question.public:
        candidates = set(public)
    elif question.public is False:
        candidates -= set(public)
    if question.explicit_permission is not None:
        # through an org is explicit, too: `dx find projects` always asks for that
        candidates &= set(own) if question.explicit_permission else candidates - set(own)
    found = sorted(
        await projects.find_containers(call.reader, candidates), key=lambda row: (row.name, row.id)
    )
    options = fields.options_of(question.page.describe)
    results: list[dict[str, Any]] = []
    for count, row in enumerate(from_place(found, question.page.starting)):
        if count % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # many projects are no reason to let others wait
        level = await levels.level_on(call, row.id)
        if level < max(question.level, Level.VIEW) or not holds(question, row):
            continue
        if len(results) == question.page.limit:
            return {"results": results, "next": f"{row.id} {row.name}"}
        entry: dict[str, Any] = {
            "id": row.id,
            "level": level.name,
            "permissionSources": await _sources(call, row.id),
            "public": row.id in public,
        }
        if options is not None:
            entry["describe"] = await wire.describe(call.reader, row, level, options)
        results.append(entry)
    return {"results": results, "next": None}


def require_regions(call: Call, question: Projects) -> None:
    """Raise InvalidInput if a question names a region that is none."""
    for region in question.regions or ():
        if region not in call.platform.regions:
            raise errors.InvalidInput(f'Expected key "region" of input to be known, got {region}')


async def _sources(call: Call, project_id: str) -> list[str]:
    """Return by whose membership the caller has a level: their own, orgs', everybody's."""
    members = await projects.find_members(call.reader, project_id)
    return [name for name in (call.user, *call.orgs, projects.PUBLIC) if name in members]


def from_place(found: list[ContainerRow], starting: object) -> list[ContainerRow]:
    """Return the projects from the place where a page starts, which may be gone by now."""
    if starting is None:
        return found
    if not isinstance(starting, str):
        raise errors.InvalidInput('Expected key "starting" of input to be what `next` was')
    project_id, _, name = starting.partition(" ")
    return [row for row in found if (row.name, row.id) >= (name, project_id)]


def holds(question: Projects, row: ContainerRow) -> bool:
    """Say whether a project is what the question asks for."""
    tags, wanted = question.tags, question.properties
    restricted = bool(row.flags.get("externalUploadRestricted"))
    return (
        (question.ids is None or row.id in question.ids)
        and (question.name is None or globs.matcher(question.name)(row.name))
        and (question.regions is None or row.region in question.regions)
        and question.bill_to in (None, row.bill_to)
        and not question.contains_phi
        and question.external_upload_restricted in (None, restricted)
        and (tags is None or conditions.evaluate(tags, conditions.among(row.tags)))
        and (wanted is None or conditions.evaluate(wanted, conditions.within(row.properties)))
        and question.created.hold(row.created_ms)
    )
