"""The routes that are no methods: bytes of files, logs as a stream, what the server says of itself.

The bytes and the websocket are described for readers; a caller gets their URLs from methods.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.methods.described.values import RANDOM_PART

_TEXT: Final = {"type": "string"}
_BYTES: Final[dict[str, Any]] = {"application/octet-stream": {"schema": {}}}
_SIGNED: Final = "The URL is signed and says all: it works without a token, until it expires"


def _parameter(name: str, says: str, *, where: str = "path", pattern: str = "") -> dict[str, Any]:
    schema = {**_TEXT, "pattern": f"^{pattern}$"} if pattern else _TEXT
    found: dict[str, Any] = {"name": name, "in": where, "description": says, "schema": schema}
    return {**found, "required": True} if where == "path" else found


_FILE: Final = _parameter("file", "The file", pattern=f"file-{RANDOM_PART}")
_CLAIM: Final = _parameter("claim", "What is allowed, and its signature")
_FILENAME: Final = _parameter("name", "Under which name the file is kept")
_JOB: Final = _parameter("id", "What follows `job-` in the id", pattern=RANDOM_PART)
_RANGE: Final = _parameter("Range", "Which bytes: bytes=FIRST-LAST", where="header")
_HEADERS: Final = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}


def _answer(says: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"description": says, "headers": _HEADERS}
    return {**found, "content": content} if content else found


def _operation(
    name: str,
    tag: str,
    summary: str,
    *,
    responses: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    description: str = "",
    needs_token: bool = False,
) -> dict[str, Any]:
    refused = {
        "401": {"$ref": "#/components/responses/Refused"},
        "404": {"$ref": "#/components/responses/ResourceNotFound"},
        "422": {"$ref": "#/components/responses/Invalid"},
    }
    found: dict[str, Any] = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "security": [{"token": []}] if needs_token else [],
        "responses": {**responses, **refused},
    }
    if parameters:
        found["parameters"] = parameters
    return {**found, "description": description} if description else found


def _bytes() -> dict[str, Any]:
    found = {
        "200": _answer("All bytes", _BYTES),
        "206": _answer("The bytes of the range", _BYTES),
        "416": _answer("There are no such bytes"),
    }
    put = _operation(
        "upload_part",
        "bytes",
        "Take the bytes of one part of a file.",
        description=f"{_SIGNED}. The size and the MD5 must be those that were announced.",
        parameters=[_FILE, _CLAIM],
        responses={
            "200": _answer("The part is kept"),
            "400": {"$ref": "#/components/responses/MalformedJSON"},
            "503": {"$ref": "#/components/responses/ServiceUnavailable"},
        },
    )
    put["requestBody"] = {"required": True, "content": _BYTES}
    return {
        "/U/{file}/{claim}": {"put": put},
        "/F/{file}/{claim}/{name}": {
            "get": _operation(
                "download_file",
                "bytes",
                "Give a file, or a range of it.",
                description=f"{_SIGNED}. HEAD gives the headers alone.",
                parameters=[_FILE, _CLAIM, _FILENAME, _RANGE],
                responses=found,
            )
        },
    }


def _logs() -> dict[str, Any]:
    questions = [
        _parameter("try", "Which try; all if nothing is said", where="query"),
        _parameter("starting", "Where to go on: what X-Plasmid-Next was", where="query"),
        _parameter("numRecentMessages", "Begin with so many of the last ones", where="query"),
    ]
    lines = {"application/x-ndjson": {"schema": _TEXT}}
    return {
        "/job-{id}/getLog": {
            "get": _operation(
                "job_log",
                "log",
                "Give the whole log of a job as it is kept, a JSON object a line.",
                parameters=[_JOB, *questions],
                responses={"200": _answer("The lines", lines)},
                needs_token=True,
            )
        },
        "/job-{id}/getLog/websocket": {
            "get": _operation(
                "job_log_feed",
                "log",
                "Give a job's messages as they come, by a websocket.",
                description="The first frame, a JSON object, holds `access_token`, and may hold"
                " `try`, `numRecentMessages`, `recurseJobs`, `tail` and `levels`. Each frame that"
                " comes is a message; a SYSTEM message END_LOG is the last. A refusal closes the"
                " socket with code 4000 and a reason of `type` and `message`.",
                parameters=[_JOB],
                responses={"101": _answer("The websocket begins")},
            )
        },
    }


def _about() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    told = {
        "/openapi.json": ("openapi", "Give this document."),
        "/.well-known/openid-configuration": (
            "openid_configuration",
            "Say who issues identity tokens of jobs, and where its keys are.",
        ),
        "/.well-known/jwks.json": ("jwks", "Give the public keys of identity tokens."),
    }
    found = {
        path: {"get": _operation(name, "about", says, responses={"200": _answer(says, content)})}
        for path, (name, says) in told.items()
    }
    refused = {"400": _answer("There are no OAuth clients here", content)}
    says = "Refuse, in OAuth's own form: /system/newAuthToken makes tokens."
    return {
        **found,
        "/oauth2/token": {"post": _operation("oauth_token", "about", says, responses=refused)},
    }


def paths() -> dict[str, Any]:
    """Return them as items of the document's paths."""
    return {**_bytes(), **_logs(), **_about()}
