"""Look for a text in the names of all that a caller may see (contract B.1)."""

from __future__ import annotations

import re
from typing import Any

from plasmid.domain import keys
from plasmid.methods import find, find_projects
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access

_SPECIAL = re.compile(r"[*?\\]")


@method("/system/globalSearch", access=Access.LOGIN)
async def global_search(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return the projects, and then the data objects, whose names contain the `query`."""
    text = keys.required_string(body, "query")
    named = {"glob": f"*{_SPECIAL.sub(_escaped, text)}*"}
    page = {name: body[name] for name in ("limit", "starting") if body.get(name) is not None}
    asked = {**page, "name": named, "describe": {"fields": {"name": True, "class": True}}}
    results: list[dict[str, Any]] = []
    if "starting" not in page:
        # all projects belong to the first page: they are few beside the objects
        projects = await find_projects.find_projects(call, None, asked | {"limit": None})
        results += [_result(entry) for entry in projects["results"]]
    found = await find.find_data_objects(call, None, asked)
    results += [{**_result(entry), "project": entry["project"]} for entry in found["results"]]
    return {"results": results, "next": found["next"]}


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _result(entry: dict[str, Any]) -> dict[str, Any]:
    described = entry["describe"]
    return {"id": entry["id"], "class": described["class"], "name": described["name"]}
