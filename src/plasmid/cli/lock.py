"""`plasmid lock`: what exactly the dependencies of an applet folder are, written beside it.

They are resolved as a job would do it: by a job of the same dependencies that does nothing else, on
a platform in this process. What its layers say became installed is the lock.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli import applet_folder, images, layers, run, throwaway
from plasmid.cli.applet_folder import AppletFolder
from plasmid.cli.server import Running
from plasmid.cli.trouble import CommandError
from plasmid.client.api import ApiClient
from plasmid.config import Config
from plasmid.domain import build_steps, dependencies, dxapp, failures, lock
from plasmid.environments.images import ImageError

_MAIN: Final = "main"


class Request(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    applet: Path
    check: bool
    into_dxapp: bool


async def lock_applet(config: Config, request: Request) -> int:
    """Write the lock, or check the one that is there; return the exit code."""
    applet = applet_folder.read(request.applet)
    if request.check:
        return _check(config, applet, request.applet)
    spec = applet.body["runSpec"]
    await images.ensure(
        config, spec["distribution"], spec["release"], str(spec.get("version", "0"))
    )
    async with throwaway.platform(config) as running:
        applet = await run.with_assets(config, running, applet)
        made = await _resolved(config, running, applet)
    if made is None:
        return 1
    content = msgspec.to_builtins(made)
    path = request.applet / lock.FILE_NAME
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _say(f"wrote {path}: {_summary(made)}")
    if request.into_dxapp:
        _put_into_dxapp(request.applet / dxapp.FILE_NAME, content)
    return 0


async def _resolved(config: Config, running: Running, applet: AppletFolder) -> lock.Lock | None:
    """Return the lock, once the layers of all entry points are here; None if that failed."""
    spec = applet.body["runSpec"]
    image = images.of(config).find(
        spec["distribution"], spec["release"], str(spec.get("version", "0"))
    )
    base = build_steps.Base(image.digest, platform.machine(), os.geteuid())
    kept = layers.of(config)
    chains: list[tuple[build_steps.Step, ...]] = []
    digests: dict[str, str] = {}
    async with ApiClient(running.url, running.keys.user_token) as client:
        project = str((await client.call("/project/new", {"name": applet.name}))["id"])
        for function in _functions(spec):
            body = _only_dependencies(applet.body, function)
            if not await _succeeds(running, client, {**body, "project": project}):
                return None
            plan = _plan(spec, function)
            digests |= {b.file_id: kept.digest_of(b.file_id) or "" for b in plan.bundles}
            network = (applet.body.get("access") or {}).get("network") or ()
            chains.append(build_steps.chain(base, plan, digests=digests, network=network))
    resolved = {}
    for key in {step.key for chain in chains for step in chain}:
        layer = kept.find(key)
        if layer is None:
            raise CommandError(f"the layer {key} vanished while it was used: try again")
        resolved[key] = layer.about.resolved
    told = lock.Base(
        distribution=spec["distribution"],
        release=spec["release"],
        version=str(spec.get("version", "0")),
        image=image.name,
        digest=image.digest,
    )
    return lock.make(told, chains, digests=digests, resolved=resolved)


async def _succeeds(running: Running, client: ApiClient, body: dict[str, Any]) -> bool:
    created = await client.call("/applet/new", body)
    asked = {"project": body["project"], "input": {}, "priority": "high"}
    job = str((await client.call(f"/{created['id']}/run", asked))["id"])
    was_interrupted = await run.follow(running, client, job)
    described = await client.call(f"/{job}/describe", {})
    if described["state"] != "done" and not was_interrupted:
        _say(f"plasmid: {described.get('failureReason')}: {described.get('failureMessage')}")
    return described["state"] == "done" and not was_interrupted


def _functions(spec: Mapping[str, Any]) -> list[str]:
    """Return the entry points whose dependencies differ: main, and those that `stages` names."""
    entries = [*(spec.get("execDepends") or []), *(spec.get("dependencies") or [])]
    entries += spec.get("bundledDepends") or []
    named = [function for entry in entries for function in entry.get("stages") or []]
    return list(dict.fromkeys([_MAIN, *named]))


def _plan(spec: Mapping[str, Any], function: str) -> dependencies.Plan:
    execs = [*(spec.get("execDepends") or []), *(spec.get("dependencies") or [])]
    try:
        return dependencies.plan(spec.get("bundledDepends") or [], execs, function=function)
    except failures.JobFailure as failure:
        raise CommandError(failure.message, 2) from failure


def _only_dependencies(body: dict[str, Any], function: str) -> dict[str, Any]:
    """Return an applet that does nothing, with the dependencies of one entry point."""
    spec = dict(body["runSpec"])
    for key in ("execDepends", "dependencies", "bundledDepends"):
        wanted = [e for e in spec.get(key) or [] if function in e.get("stages", [function])]
        spec[key] = [{name: e[name] for name in e if name != "stages"} for e in wanted]
    spec |= {"interpreter": "bash", "code": ":"}
    made = {**body, "runSpec": spec, "inputSpec": [], "outputSpec": []}
    return {key: value for key, value in made.items() if key != "details"}


def _check(config: Config, applet: AppletFolder, folder: Path) -> int:
    """Say how the lock differs from the dependencies; return 1 if it does."""
    given = applet_folder.read_lock(folder)
    if given is None:
        raise CommandError(
            f"there is no {folder / lock.FILE_NAME}: write it by `plasmid lock {folder}`"
        )
    differences = list(_differences(config, applet, lock.decode(given)))
    for difference in differences:
        print(difference)
    if not differences:
        _say(f"{folder / lock.FILE_NAME} fits {folder / dxapp.FILE_NAME}")
    return 1 if differences else 0


def _differences(config: Config, applet: AppletFolder, locked: lock.Lock) -> Iterator[str]:
    spec = applet.body["runSpec"]
    release = (spec["distribution"], spec["release"], str(spec.get("version", "0")))
    if release != (locked.base.distribution, locked.base.release, locked.base.version):
        yield f"it is for {locked.base.distribution} {locked.base.release}, not {release[1]}"
    try:
        name = images.of(config).name_for(*release)
        if name != locked.base.image:
            yield f"it was made on the base image {locked.base.image}, and here it is {name}"
    except ImageError as error:
        yield str(error)
    wanted: dict[str, str] = {}
    for function in _functions(spec):
        plan = msgspec.structs.replace(_plan(spec, function), bundles=())
        chain = build_steps.chain(build_steps.Base("", "", 0), plan, digests={})
        wanted |= {step.recipe: step.label for step in chain}
    known = {group.recipe: group.label for group in locked.groups}
    for recipe in wanted.keys() - known.keys():
        yield f"the {wanted[recipe]} are not in it, or came after other packages"
    for recipe in known.keys() - wanted.keys():
        yield f"it has {known[recipe]}, which {dxapp.FILE_NAME} has not, or not in that place"
    names = {str(entry["name"]) for entry in spec.get("bundledDepends") or []} - lock.OWN_BUNDLES
    for missing in sorted(names - {bundle.name for bundle in locked.bundles}):
        yield f"the bundled file {missing} is not in it"


def _put_into_dxapp(path: Path, content: dict[str, Any]) -> None:
    """Write the lock into `details` of a dxapp.json, with which `dx build` sends it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    details = document.setdefault("details", {})
    if not isinstance(details, dict):
        raise CommandError(f"{path}: details is no object, so a lock has no place in it", 2)
    details[lock.DETAIL] = content
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _say(f"wrote it into details.{lock.DETAIL} of {path} too")


def _summary(made: lock.Lock) -> str:
    packages = sum(len(found) for group in made.groups for found in group.resolved.values())
    return f"{packages} packages, {len(made.bundles)} bundled files"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
