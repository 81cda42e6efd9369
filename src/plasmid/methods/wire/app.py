"""The form in which apps leave the API (contract E.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plasmid.metadata.rows import ObjectRow
from plasmid.methods.wire import fields


def describe(
    row: ObjectRow, name: str, options: Mapping[str, Any], *, regions: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of an app that the options ask for."""
    everything = _defaults(row, name, regions)
    wanted = fields.selected(options, everything)
    return {field: value for field, value in everything.items() if field in wanted}


def run_spec(row: ObjectRow, regions: Sequence[str]) -> dict[str, Any]:
    """Return an app's runSpec with its mirrors by region: it is the same in all of them."""
    spec = row.body["runSpec"]
    return {
        **spec,
        "bundledDependsByRegion": {region: spec.get("bundledDepends", []) for region in regions},
        "systemRequirementsByRegion": {
            region: spec.get("systemRequirements", {}) for region in regions
        },
    }


def _defaults(row: ObjectRow, name: str, regions: Sequence[str]) -> dict[str, Any]:
    body = row.body
    spec = run_spec(row, regions)
    return {
        "id": row.id,
        "class": "app",
        "billTo": row.created_by,
        "name": name,
        "version": body["version"],
        "aliases": [body["version"], "default"],
        "createdBy": row.created_by,
        "created": row.created_ms,
        "modified": row.created_ms,
        "published": row.created_ms,
        "installed": False,
        "installs": 0,
        "openSource": True,
        "deleted": False,
        "isDeveloperFor": False,
        "authorizedUsers": ["PUBLIC"],
        "categories": [],
        "ignoreReuse": False,
        "lineItemPerTest": {},
        "regionalOptions": {region: {} for region in regions},
        "httpsApp": {"enabled": False},
        "dxapi": body["dxapi"],
        "title": body["title"],
        "summary": body["summary"],
        "description": body.get("description", ""),
        "details": row.details,
        # where an app comes from; the client shows it, and nobody can look it up
        "applet": row.id.replace("app-", "applet-"),
        "access": body["access"],
        "inputSpec": body["inputSpec"],
        "outputSpec": body["outputSpec"],
        "runSpec": {field: value for field, value in spec.items() if field != "code"},
        "treeTurnaroundTimeThreshold": None,
    }
