"""The form in which apps leave the API (contract E.5), and what global workflows share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from plasmid.domain import https_app
from plasmid.metadata.rows import AppNameRow, AppRow, ObjectRow
from plasmid.methods.wire import fields

_SHOWN: Final = ("applet", "resources", "pricingPolicy")


class Facts(msgspec.Struct, frozen=True):
    """What is told of a version of an app; the last three depend on the caller and on others."""

    row: ObjectRow
    version: AppRow
    listing: AppNameRow
    aliases: Sequence[str]
    is_developer: bool
    is_installed: bool
    installs: int


def describe(facts: Facts, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an app that the options ask for; `dx describe` needs its details."""
    everything = _defaults(facts)
    wanted = fields.selected(options, everything)
    return {field: value for field, value in everything.items() if field in wanted}


def _defaults(facts: Facts) -> dict[str, Any]:
    body = facts.row.body
    return {
        **common(facts),
        **_regional(facts.version.regional_options),
        "installed": facts.is_installed,
        "installs": facts.installs,
        "openSource": body.get("openSource", False),
        "ignoreReuse": body.get("ignoreReuse", False),
        "lineItemPerTest": {},
        "httpsApp": https_app.of_executable(body.get(https_app.FIELD)),
        "access": body["access"],
        "inputSpec": body["inputSpec"],
        "outputSpec": body["outputSpec"],
        "runSpec": {name: value for name, value in body["runSpec"].items() if name != "code"},
    }


def common(facts: Facts) -> dict[str, Any]:
    """Return the fields that apps and global workflows have alike."""
    version, listing, body = facts.version, facts.listing, facts.row.body
    described = {
        "id": version.id,
        "class": facts.row.class_name,
        "name": listing.name,
        "billTo": listing.bill_to,
        "authorizedUsers": listing.authorized_users,
        "categories": listing.categories,
        "isDeveloperFor": facts.is_developer,
        "version": version.version,
        "aliases": facts.aliases,
        "createdBy": version.created_by,
        "created": version.created_ms,
        "modified": version.modified_ms,
        "deleted": version.deleted_ms is not None,
        "dxapi": body.get("dxapi", "1.0.0"),
        "title": body.get("title") or version.name,
        "summary": body.get("summary", ""),
        "description": body.get("description", ""),
        "developerNotes": body.get("developerNotes", ""),
        "details": facts.row.details,
        "treeTurnaroundTimeThreshold": body.get("treeTurnaroundTimeThreshold"),
    }
    if version.published_ms is not None:
        described["published"] = version.published_ms
    return described


def _regional(options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an app is made from by region; of an app of one region once more beside that."""
    shown = {
        region: {name: given[name] for name in _SHOWN if name in given}
        for region, given in options.items()
    }
    region, first = next(iter(shown.items()))
    described: dict[str, Any] = {"regionalOptions": shown, "applet": first["applet"]}
    if len(shown) == 1:
        described |= {"region": region, "resources": first["resources"]}
    return described
