"""Describe many things by one call (contract B.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from plasmid.domain import errors, ids, keys
from plasmid.methods import data_objects, registry, targets
from plasmid.methods.call import Call
from plasmid.methods.registry import method
from plasmid.methods.targets import Access
from plasmid.methods.wire import fields

OBJECTS_MAX: Final = 1000
YIELD_EVERY: Final = 50

_Describe = Callable[[Call, dict[str, Any], dict[str, Any]], Awaitable[dict[str, Any]]]


@method("/system/describeDataObjects", access=Access.LOGIN)
async def describe_data_objects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Describe many objects; each result is a describe or the error that it would have been."""
    return await _each(call, body, ids.DATA_OBJECT_CLASSES, _data_object)


async def _data_object(
    call: Call, asked: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    found = await targets.get_data_object(call, asked["id"], asked.get("project"))
    return await data_objects.describe(call, found.row, found.place, options)


@method("/system/describeExecutions", access=Access.LOGIN)
async def describe_executions(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Describe many jobs and analyses, each as its own describe does, or its error."""
    return await _each(call, body, ids.EXECUTION_CLASSES, _by_its_own)


@method("/system/describeProjects", access=Access.LOGIN)
async def describe_projects(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Describe many projects and containers, each as its own describe does, or its error."""
    return await _each(call, body, ids.CONTAINER_CLASSES, _by_its_own)


async def _by_its_own(call: Call, asked: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    found, subject = registry.resolve(f"/{asked['id']}/describe")
    target = await targets.load(call, found.access, subject, options)
    described: dict[str, Any] = await found.handler(call, target, options)
    return described


async def _each(
    call: Call, body: dict[str, Any], classes: frozenset[str], describe: _Describe
) -> dict[str, Any]:
    """Return the describes of the body's `objects` in their order, as each asks for it."""
    by_class = keys.hash_of(body, "classDescribeOptions") or {}
    results: list[dict[str, Any]] = []
    for asked in _asked(body, classes):
        class_name = asked["id"].partition("-")[0]
        chosen = asked.get("describe", by_class.get(class_name, by_class.get("*")))
        options = dict(fields.options_of(chosen) or {})
        if len(results) % YIELD_EVERY == 0:
            await asyncio.sleep(0)  # many things are no reason to let others wait
        try:
            results.append({"describe": await describe(call, asked, options)})
        except (errors.ResourceNotFound, errors.PermissionDenied) as error:
            results.append({"error": {"type": error.type, "message": error.message}})
    return {"results": results}


def _asked(body: dict[str, Any], classes: frozenset[str]) -> list[dict[str, Any]]:
    wanted = body.get("objects")
    if not isinstance(wanted, list) or len(wanted) > OBJECTS_MAX:
        raise errors.InvalidInput(
            f'Expected key "objects" of input to be an array of at most {OBJECTS_MAX} objects'
        )
    asked = [{"id": entry} if isinstance(entry, str) else entry for entry in wanted]
    for entry in asked:
        if not isinstance(entry, dict) or not ids.is_id(entry.get("id"), *classes):
            kinds = ", ".join(sorted(classes))
            raise errors.InvalidInput(
                f'Expected key "objects" of input to hold ids of these classes: {kinds}'
            )
    return asked
