"""The OpenAPI document of the API, generated from the registry and what is told of each route.

Routes that only workers and the operator's commands call are left out. An id of a class has a path
of its own (`/project-{id}/describe`), so that a path says what the routes of a class are.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final

from plasmid.domain import errors
from plasmid.methods import everything
from plasmid.methods.described import around, components, tables, values
from plasmid.methods.described.values import Told
from plasmid.methods.registry import INTERNAL, METHODS, Method
from plasmid.methods.targets import Access

VERSION: Final = "3.1.0"
_BY_VERSION: Final = ("app", "globalworkflow")
AREAS: Final[dict[str, str]] = {
    "system": "Finding, identity, tokens",
    "project": "Projects",
    "container": "Workspaces and other containers of jobs",
    "file": "Files",
    "record": "Records",
    "applet": "Applets",
    "app": "Apps",
    "workflow": "Workflows",
    "globalworkflow": "Global workflows",
    "job": "Jobs",
    "analysis": "Analyses",
    "user": "Users",
    "org": "Organisations",
    "database": "Databases",
    "dbcluster": "Database clusters",
    "notifications": "Notifications",
    "bytes": "Bytes of files, by the URLs that upload and download give",
    "log": "Logs as they are kept, and as they come",
    "about": "What the server says of itself",
}
_REFERENCE: Final = re.compile(r" \(contract [^)]*\)")
_LEVELS: Final = (Access.VIEW, Access.UPLOAD, Access.CONTRIBUTE, Access.ADMINISTER)
_OPEN: Final = (Access.ANYONE, Access.OBJECT_VIEW, *_LEVELS)
_RESPONSES: Final[dict[int, tuple[str, str]]] = {
    400: ("MalformedJSON", "The body is not JSON, or has another content type"),
    401: ("Refused", "There is no good token, or the caller's level is not enough"),
    404: (
        "ResourceNotFound",
        "What the call names does not exist, or not for the caller",
    ),
    422: ("Invalid", "A key is wrong, or the object is not in the state or of the class for this"),
    429: ("RateLimitConditional", "Too many calls; Retry-After says when to come back"),
    503: ("ServiceUnavailable", "Not now; Retry-After may say when to come back"),
}


def public_methods() -> list[Method]:
    """Return the methods that answer clients, by route: not those that refuse everybody."""
    everything.declare()
    offered = [
        found
        for found in METHODS.values()
        if not found.class_name.startswith(INTERNAL) and found.access is not Access.NEVER
    ]
    return sorted(offered, key=lambda found: found.route)


def document(version: str, server_url: str) -> dict[str, Any]:
    """Return the whole document for a server at a URL."""
    offered = public_methods()
    paths: dict[str, Any] = {}
    for found in offered:
        for path, parameters in _paths_of(found):
            paths[path] = {"post": _operation(found, parameters, path)}
    for path, item in around.paths().items():
        paths[path] = {**paths.get(path, {}), **item}
    named = {tag for item in paths.values() for one in item.values() for tag in one["tags"]}
    return {
        "openapi": VERSION,
        "info": {
            "title": "Plasmid",
            "version": version,
            "summary": "The API of the DNAnexus platform, answered by one machine",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "tags": [
            {"name": name, "description": says} for name, says in AREAS.items() if name in named
        ],
        "paths": dict(sorted(paths.items())),
        "components": _components(),
    }


_ABOUT: Final = (
    "RPC over HTTP: POST with a JSON object, answered by JSON. A key that is null counts as absent;"
    " keys that are not described here do not matter. Every answer has the header X-Request-ID."
)


def _paths_of(found: Method) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the paths of a method, each with its parameters."""
    if not found.on_object:
        return [(f"/{found.class_name}/{found.verb}", [])]
    name = found.class_name
    entity = _parameter("id", values.id_part(name), f"What follows `{name}-` in the id")
    by_id = [(f"/{name}-{{id}}/{found.verb}", [entity])]
    if name not in _BY_VERSION:
        return by_id
    version = _parameter("version", r"[^/?#]+", "A version or an alias of it")
    return [*by_id, (f"/{name}-{{id}}/{{version}}/{found.verb}", [entity, version])]


def _parameter(name: str, pattern: str, says: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": name, "in": "path", "required": True, "description": says, "schema": schema}


def _operation(found: Method, parameters: list[dict[str, Any]], path: str) -> dict[str, Any]:
    told = tables.TOLD.get(found.route, tables.UNTOLD)
    summary, more = said_of(found)
    said = [more, f"Access: {access_of(found)}."]
    if found.has_nonce:
        said.append("With a nonce the call is safe to repeat.")
    content = {"application/json": {"schema": body_schema(told)}}
    operation: dict[str, Any] = {
        "operationId": path.strip("/").replace("/", "_").replace("-{id}", "").replace(
            "{version}", "version"
        ),
        "tags": [found.class_name],
        "summary": summary,
        "description": "\n\n".join(line for line in said if line),
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _answer(told), **_refusals(_RESPONSES)},
        "security": [{}, {"token": []}] if found.access in _OPEN else [{"token": []}],
        "x-access": found.access.name,
        "x-mode": found.mode.value,
    }  # fmt: skip
    if parameters:
        operation["parameters"] = parameters
    return operation


def said_of(found: Method) -> tuple[str, str]:
    """Return what a method says of itself: a sentence, and the rest without our own references."""
    text = _REFERENCE.sub("", inspect.getdoc(found.handler) or "")
    summary, _, more = text.partition("\n")
    return summary, more.strip()


def access_of(found: Method) -> str:
    """Say what a caller of a method needs."""
    if found.access in _LEVELS:
        return f"{found.access.value} on the {found.class_name}"
    if found.access is Access.ANYONE:
        return "anybody"
    return "any user" if found.access is Access.LOGIN else str(found.access.value)


def body_schema(told: Told) -> dict[str, Any]:
    """Return the schema of a route's body."""
    if told.body is not None:
        return told.body.schema
    return {"type": "object", **values.object_schema(told.takes)}


def _answer(told: Told) -> dict[str, Any]:
    return {
        "description": told.gives.says or "The answer",
        "headers": _HEADERS,
        "content": {"application/json": {"schema": told.gives.schema}},
    }


_HEADERS: Final = {
    "X-Request-ID": {"$ref": "#/components/headers/RequestId"},
    "X-Content-Type-Options": {"$ref": "#/components/headers/NoSniff"},
}


def _refusals(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{_RESPONSES[status][0]}"}
        for status in statuses
    }


def _components() -> dict[str, Any]:
    types = [error.__name__ for error in errors.ApiError.__subclasses__()]
    error = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {
                    "type": {"type": "string", "enum": types},
                    "message": {"type": "string"},
                    "details": {},
                },
            }
        },
    }
    reference = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {
        "schemas": {**components.schemas(), "Error": error},
        "headers": {
            "RequestId": {
                "description": "What the operator finds the call under",
                "required": True,
                "schema": {"type": "string", "pattern": r"^\d{13}-\d{1,6}$"},
            },
            "NoSniff": {"required": True, "schema": {"type": "string", "const": "nosniff"}},
        },
        "responses": {
            name: {
                "description": says,
                "headers": _HEADERS,
                "content": {"application/json": reference},
            }
            for name, says in _RESPONSES.values()
        },
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A user's token, or that of a running job",
            }
        },
    }
