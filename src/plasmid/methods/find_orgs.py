"""Find orgs, and what an org is billed for (contract B.7)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import filters, keys, orgs
from plasmid.metadata import orgs as org_rows
from plasmid.metadata import projects
from plasmid.methods import find_projects, levels, org_access
from plasmid.methods import org as org_methods
from plasmid.methods.call import Call
from plasmid.methods.org_access import Org
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields
from plasmid.methods.wire import project as wire


@method("/system/findOrgs", access=Access.LOGIN)
async def find_orgs(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Find the orgs in which the caller has at least a level, by id."""
    page = filters.read_page(body)
    needs_admin = orgs.check_level(body) == orgs.ADMIN
    billable = keys.maybe_boolean(body, "allowBillableActivities")
    starting = keys.string(body, "starting") or ""
    options = fields.options_of(page.describe)
    rows = await org_rows.find_orgs(call.reader, call.orgs)
    results: list[dict[str, Any]] = []
    is_whole = org_access.is_whole(call)
    for row in rows:
        place = call.orgs[row.id]
        may_bill = orgs.may_bill(place.level, place.access)
        is_admin = place.level == orgs.ADMIN
        if row.id < starting or (needs_admin and not is_admin) or billable not in (None, may_bill):
            continue
        if len(results) == page.limit:
            return {"results": results, "next": row.id}
        entry = {"id": row.id, "level": place.level, "allowBillableActivities": may_bill}
        if options is not None:
            org = Org(row, place if is_whole else None)
            entry["describe"] = await org_methods.described(call, org, dict(options))
        results.append(entry)
    return {"results": results, "next": None}


@method("/org-xxxx/findProjects", access=Access.ORG_ADMIN)
async def find_org_projects(call: Call, target: Org, body: dict[str, Any]) -> dict[str, Any]:
    """Find the projects that an org is billed for, whether or not the caller is in them."""
    question = filters.read_projects(body)
    find_projects.require_regions(call, question)
    public = await projects.find_memberships(call.reader, projects.PUBLIC)
    options = fields.options_of(question.page.describe)
    found = await org_rows.find_billed(call.reader, target.id)
    found.sort(key=lambda row: (row.name, row.id))
    results: list[dict[str, Any]] = []
    for row in find_projects.from_place(found, question.page.starting):
        is_public = row.id in public
        if question.public not in (None, is_public) or not find_projects.holds(question, row):
            continue
        if len(results) == question.page.limit:
            return {"results": results, "next": f"{row.id} {row.name}"}
        level = await levels.level_on(call, row.id)
        entry: dict[str, Any] = {"id": row.id, "level": level.name, "public": is_public}
        if options is not None:
            entry["describe"] = await wire.describe(call.reader, row, level, options)
        results.append(entry)
    return {"results": results, "next": None}
