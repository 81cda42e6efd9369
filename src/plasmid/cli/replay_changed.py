"""The changed source of an executable, in the place of what the original ran."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from plasmid.cli import applet_folder, replay_source, replay_verdict, run
from plasmid.cli.applet_folder import AppletFolder
from plasmid.cli.server import Running
from plasmid.client.api import ApiClient
from plasmid.config import Config
from plasmid.domain import links, replays
from plasmid.domain.replays import Capture, Code, Object, Outcome


def code_of(changed: AppletFolder, capture: Capture) -> Code:
    """Return changed source as the code of the job's executable, under its id and name."""
    found = capture.run
    return Code(
        id=found.executable,
        name=found.executable_name,
        body=changed.body,
        details=changed.body.get("details") or {},
        version=capture.code.version if capture.code else "",
        place=found.project,
        folder=capture.code.folder if capture.code else "/",
    )


async def built(
    config: Config, running: Running, folder: Path, *, code: Code, original: replays.Run
) -> Code:
    """Return changed code with its lock, its assets and its resources, uploaded for it."""
    changed = run.locked(applet_folder.read(folder), folder)
    changed = await run.with_assets(config, running, changed)
    spec = dict(changed.body["runSpec"])
    if changed.resources is not None:
        async with ApiClient(running.url, running.keys.user_token) as client:
            entry = await run.bundled(client, changed.resources, original.project)
        spec["bundledDepends"] = [*spec.get("bundledDepends", []), entry]
    body = {**changed.body, "runSpec": spec}
    return msgspec.structs.replace(code, body=body, details=body.get("details") or {})


async def outputs(
    client: ApiClient, outcome: Outcome, folder: Path, *, token: str
) -> replay_verdict.Run:
    """Return a run of the throwaway platform with the bytes of what it put out, in a folder."""
    objects: dict[str, Object] = {}
    contents: dict[str, Path] = {}
    for object_id in links.object_ids(outcome.output or {}):
        if not object_id.startswith("file-"):
            continue
        described = await client.call(f"/{object_id}/describe", {})
        contents[object_id] = folder / object_id
        await client.download(object_id, contents[object_id], token=token)
        objects[object_id] = Object(
            id=object_id,
            role="output",
            container=described["project"],
            name=described["name"],
            size_bytes=described["size"],
            sha256=await asyncio.to_thread(replay_source.digest_of, contents[object_id]),
        )
    return replay_verdict.Run(outcome, objects, contents)
