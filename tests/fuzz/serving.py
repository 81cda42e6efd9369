"""A server in a process of its own, with one of everything (tests/prepared.py), for fuzzing.

It prints a line of JSON: its URL, tokens and ids. For each line that it reads it goes back to how
all was in the beginning and prints a line; at the end of its input it ends.

    python -m tests.fuzz.serving
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import msgspec
import structlog
import uvicorn

from plasmid.api.http_protocol import HttpProtocol
from plasmid.api.websocket_protocol import WebSocketProtocol
from plasmid.cli import server as servers
from plasmid.methods import openapi
from tests import prepared
from tests.fuzz.documents import RightCall
from tests.worlds import ALICE, BOB, World, a_world

# Calls may be long in the making; a link that ends just as one is sent would fail it.
IDLE_SECONDS_MAX = 3600


def known(ready: prepared.Prepared) -> list[str]:
    """Return the ids and names of what there is."""
    found = [
        value
        for field in msgspec.structs.fields(prepared.Prepared)
        if isinstance(value := getattr(ready, field.name), str)
    ]
    return [*found, "user-alice", "user-bob", "user-eve", "app-prepared", "app-draft"]


# The ids of what may be called by a version, as these are named then.
VERSIONED = {"app": ("prepared", "draft"), "globalworkflow": ("pipe", "draft_pipe")}


async def right_calls(world: World, ready: prepared.Prepared) -> dict[str, RightCall]:
    """Return a call that succeeds for each path of the document that can be called with success."""
    job_token = world.token_of(ready.job)
    found = {}
    for method in openapi.public_methods():
        caller = "job" if ready.caller_of(method) == job_token else "alice"
        body = ready.body_of(method)
        subject = ready.subject_of(method)
        part = subject.removeprefix(f"{method.class_name}-")
        for path, parameters in openapi._paths_of(method):
            within = {"id": [part]} if parameters else {}
            if len(parameters) > 1:
                is_draft = method.verb in prepared.DRAFT_VERBS
                name = VERSIONED[method.class_name][is_draft]
                within = {"id": [name], "version": ["1.0.0"]}
            found[path] = RightCall(within, body, caller)
    return found | await _right_gets(world, ready)


async def _right_gets(world: World, ready: prepared.Prepared) -> dict[str, RightCall]:
    place = await world.call(f"/{ready.closed_file}/download", {"project": ready.project})
    parts = place["url"].split("/F/")[1].split("/")
    path = dict(zip(("file", "claim", "name"), ([part] for part in parts), strict=True))
    job = {"id": [ready.job.removeprefix("job-")]}
    return {
        "/F/{file}/{claim}/{name}": RightCall(path, None, "alice"),
        "GET /job-{id}/getLog": RightCall(job, None, "alice"),
    }


async def serve(world: World, ready: prepared.Prepared) -> None:
    """Serve until the input ends."""
    snapshot = prepared.Snapshot(world)
    listener = servers.bind("127.0.0.1", 0)
    config = uvicorn.Config(
        world.app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS_MAX,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        told: dict[str, Any] = {
            "url": servers.url_of(listener),
            "tokens": {"alice": ALICE, "bob": BOB, "job": world.token_of(ready.job)},
            "ids": known(ready),
            "calls": msgspec.to_builtins(await right_calls(world, ready)),
        }
        _say(json.dumps(told))
        while await asyncio.to_thread(sys.stdin.readline):
            snapshot.restore()
            _say("restored")
        server.should_exit = True
        await asyncio.wait([serving])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Make the world and serve it; what breaks is told on stderr."""
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[plain],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    async with a_world() as world:
        ready = await prepared.prepare(world)
        world.platform.own_url = "http://127.0.0.1"
        await serve(world, ready)


if __name__ == "__main__":
    asyncio.run(main())
