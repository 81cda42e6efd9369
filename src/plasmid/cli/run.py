"""`plasmid run`: one applet folder, here and now, with no server and no account.

The platform runs inside this process on a folder of its own, which is removed at the end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from plasmid.cli import applet_folder, asset_loading, images, inputs, outputs, throwaway
from plasmid.cli.applet_folder import AppletFolder
from plasmid.cli.server import Running
from plasmid.cli.trouble import CommandError
from plasmid.client import upload
from plasmid.client.api import ApiClient
from plasmid.config import Config
from plasmid.domain import errors, failures, links, lock, replays, terminal_text
from plasmid.metadata import jobs
from plasmid.methods import log_feed

INTERRUPTED: int = 130


class Request(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    applet: Path
    inputs: tuple[str, ...]
    input_json: Path | None
    out: Path
    as_json: bool


async def run(config: Config, request: Request) -> int:
    """Run the applet and return the exit code: 0 if the job is done, else 1."""
    applet = applet_folder.read(request.applet)
    values = inputs.read(applet.body.get("inputSpec"), request.inputs, request.input_json)
    for warning in applet.warnings:
        _say(f"warning: {warning}")
    spec = applet.body["runSpec"]
    await images.ensure(
        config, spec["distribution"], spec["release"], str(spec.get("version", "0"))
    )
    async with throwaway.platform(config) as running:
        applet = await with_assets(config, running, applet)
        return await _run_job(running, request, locked(applet, request.applet), values)


async def with_assets(config: Config, running: Running, applet: AppletFolder) -> AppletFolder:
    """Return an applet whose assets are here and among its bundled dependencies."""
    async with ApiClient(running.url, running.keys.operator_token) as operator:
        store = asset_loading.store_of(config)
        assets = await asset_loading.load_for(operator, store, applet)
    spec = applet.body["runSpec"]
    spec = {**spec, "bundledDepends": [*spec.get("bundledDepends", []), *assets]}
    return msgspec.structs.replace(applet, body={**applet.body, "runSpec": spec})


def locked(applet: AppletFolder, folder: Path) -> AppletFolder:
    """Return an applet with the lock that lies beside its dxapp.json, if there is one."""
    found = applet_folder.read_lock(folder)
    if found is None:
        return applet
    details = applet.body.get("details") or {}
    if not isinstance(details, dict):
        raise CommandError(f"{folder}: details is no object, so a lock has no place in it", 2)
    body = {**applet.body, "details": {**details, lock.DETAIL: found}}
    return msgspec.structs.replace(applet, body=body)


async def _run_job(
    running: Running, request: Request, applet: AppletFolder, values: dict[str, Any]
) -> int:
    async with ApiClient(running.url, running.keys.user_token) as client:
        try:
            job_id = await _start(client, applet, values)
        except errors.ApiError as error:
            raise CommandError(error.message, 2) from error
        except OSError as error:
            raise CommandError(f"cannot read an input: {error}", 2) from error
        was_interrupted = await follow(running, client, job_id)
        described = await client.call(f"/{job_id}/describe", {})
        output: Any = None
        if described["state"] == "done":
            output = await outputs.fetch(
                client, described["output"], request.out, token=running.keys.user_token
            )
        _report(described, output, as_json=request.as_json)
        if was_interrupted:
            return INTERRUPTED
        return 0 if described["state"] == "done" else 1


async def _start(client: ApiClient, applet: AppletFolder, values: dict[str, Any]) -> str:
    """Put applet and inputs into a new project and run; return the job's id."""
    project = str((await client.call("/project/new", {"name": applet.name}))["id"])
    ids = {}
    for local in inputs.files(values):
        ids[local] = await upload.upload(
            client, local.path, project=project, folder=outputs.INPUTS, name=local.path.name
        )
    spec = dict(applet.body["runSpec"])
    if applet.resources is not None:
        spec["bundledDepends"] = [
            *spec.get("bundledDepends", []),
            await bundled(client, applet.resources, project),
        ]
    body = {**applet.body, "runSpec": spec, "project": project}
    created = await client.call("/applet/new", body)
    asked = {"project": project, "input": inputs.with_links(values, ids), "priority": "high"}
    return str((await client.call(f"/{created['id']}/run", asked))["id"])


async def bundled(client: ApiClient, resources: Path, project: str) -> dict[str, Any]:
    """Upload an applet's resources; return their entry for bundledDepends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / applet_folder.BUNDLE_NAME
        await asyncio.to_thread(applet_folder.bundle, resources, path)
        file_id = await upload.upload(
            client, path, project=project, folder="/", name=applet_folder.BUNDLE_NAME
        )
    return {"name": applet_folder.BUNDLE_NAME, "id": links.link(file_id)}


async def follow(running: Running, client: ApiClient, job_id: str) -> bool:
    """Print the job's log until it is over; Ctrl-C terminates it. Say whether that happened."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_terminate_when(interrupted, client, job_id))
        row = await jobs.find_job(running.platform.database.reader, job_id)
        if row is None:
            raise CommandError(f"{job_id} has vanished")
        question = log_feed.Question(recurses=True)
        async for messages in log_feed.messages(running.platform, row, question):
            for message in map(msgspec.json.decode, messages):
                _say(_line(message))
        watching.cancel()
    return interrupted.is_set()


async def _terminate_when(interrupted: asyncio.Event, client: ApiClient, job_id: str) -> None:
    await interrupted.wait()
    _say("Interrupted: the job is being terminated")
    await client.call(f"/{job_id}/terminate", {})


def _line(message: dict[str, Any]) -> str:
    if message["level"] in ("STDOUT", "STDERR"):
        return str(message["msg"])
    return f"[{message['level']}] {message['msg']}"


def _report(described: dict[str, Any], output: Any, *, as_json: bool) -> None:
    """Print the output on stdout; why the job failed comes last, on stderr."""
    reason = described.get("failureReason")
    # there is nobody to replay it from: the platform goes with this process
    message = replays.without_command(described.get("failureMessage") or "")
    if described["state"] == "terminated":
        reason, message = failures.TERMINATED, "the job was terminated"
    if as_json:
        told = {"state": described["state"], "output": output}
        if reason:
            told |= {"failureReason": reason, "failureMessage": message}
        print(_pretty(told))
    elif described["state"] == "done":
        print(_pretty(output))
    if reason:
        lines = f"plasmid: {reason}: {message}".split("\n")
        _say("\n".join(terminal_text.shown(line) for line in lines))


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
