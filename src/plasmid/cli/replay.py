"""`plasmid replay`: a try of a job once more, from the same start, where nothing can be harmed.

What the try was given comes from its server, or from a bundle. It is put under the same ids into a
platform inside this process, which is removed at the end; the job's server is only read from.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from plasmid.blobs.store import NoSpaceError
from plasmid.cli import (
    applet_folder,
    images,
    replay_bundle,
    replay_changed,
    replay_described,
    replay_shell,
    replay_verdict,
    run,
    throwaway,
)
from plasmid.cli.logs import Door
from plasmid.cli.replay_described import BAD_INPUT
from plasmid.cli.replay_source import Source
from plasmid.cli.server import Running
from plasmid.cli.trouble import CommandError
from plasmid.client.api import ApiClient
from plasmid.config import Config
from plasmid.domain import errors, replays, run_spec
from plasmid.domain.replays import Capture, Code, Manner, Object, Outcome
from plasmid.domain.terminal_text import shown
from plasmid.environments.images import ImageError
from plasmid.metadata.database import AlreadyThereError
from plasmid.methods import restoring


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for; `server` is None with a bundle."""

    job: str
    attempt: int | None = None
    is_shell: bool = False
    entry: str | None = None
    against: Path | None = None
    bundle: Path | None = None
    export: Path | None = None
    server: Door | None = None


class Material(msgspec.Struct, frozen=True):
    """A capture, with the bytes of its files."""

    capture: Capture
    contents: dict[str, Path]


def check(request: Request) -> None:
    """Raise CommandError for options that do not go together."""
    modes = {"--export": request.export, "--shell": request.is_shell or None}
    modes["--against"] = request.against
    given = [name for name, value in modes.items() if value is not None]
    if len(given) > 1:
        raise CommandError(f"{' and '.join(given)} do not go together: choose one", BAD_INPUT)
    if request.bundle is not None and request.export is not None:
        raise CommandError("--bundle is exported already: copy the file", BAD_INPUT)
    if not request.job and request.bundle is None:
        raise CommandError("name a job, or a bundle: plasmid replay JOB | --bundle FILE", BAD_INPUT)
    if request.entry == "":
        raise CommandError("--entry names a function of the executable", BAD_INPUT)


def at(request: Request, server: Door) -> Request:
    """Return what is asked for, of a server."""
    return msgspec.structs.replace(request, server=server)


async def replay(config: Config, request: Request) -> int:
    """Do what is asked for; returns 0 if the replayed job is done, 1 if it failed."""
    changed = None if request.against is None else applet_folder.read(request.against)
    with throwaway.scratch_in(config.home / "replays") as folder:
        for dead in throwaway.dead_beside(folder):
            shutil.rmtree(dead)
        material = await _material(request, folder)
        if request.export is not None:
            await asyncio.to_thread(
                replay_bundle.write, material.capture, material.contents, request.export
            )
            _say(f"{request.export}: replay it: plasmid replay --bundle {request.export}")
            return 0
        code = material.capture.code
        if changed is not None:
            code = replay_changed.code_of(changed, material.capture)
        if code is None:
            raise CommandError("the bundle has no code: give it with --against", BAD_INPUT)
        config = await _with_image(config, code, material.capture)
        async with throwaway.platform(config) as running:
            return await _replayed(config, running, request, material=material, code=code)


async def _material(request: Request, folder: Path) -> Material:
    """Return what is to be replayed, from a bundle or from the server."""
    if request.bundle is not None:
        read = await asyncio.to_thread(replay_bundle.read, request.bundle, folder)
        _require_job(request, read[0])
        return Material(*read)
    if request.server is None:
        raise CommandError("there is neither a server nor a bundle", BAD_INPUT)
    async with ApiClient(request.server.url, request.server.token) as client:
        source = Source(request.server, client)
        needs_code = request.against is None
        capture = await source.capture(request.job, request.attempt, needs_code=needs_code)
        return await _with_bytes(source, capture, folder, request=request)


def _require_job(request: Request, capture: Capture) -> None:
    if request.job not in ("", capture.run.job):
        raise CommandError(
            f"{request.bundle} is of {capture.run.job}, not {request.job}", BAD_INPUT
        )
    if request.attempt not in (None, capture.run.attempt):
        raise CommandError(f"{request.bundle} is of try {capture.run.attempt}", BAD_INPUT)


async def _with_bytes(
    source: Source, capture: Capture, folder: Path, *, request: Request
) -> Material:
    """Return a capture with its files; those of the original's output only to be compared."""
    with_output = request.against is not None or request.export is not None
    found: list[Object] = []
    contents: dict[str, Path] = {}
    for item in capture.objects:
        if item.has_bytes and (item.role != "output" or with_output):
            contents[item.id] = folder / item.id
            item = await source.fetch(item, contents[item.id])  # noqa: PLW2901
        found.append(item)
    return Material(msgspec.structs.replace(capture, objects=found), contents)


async def _with_image(config: Config, code: Code, capture: Capture) -> Config:
    """Return the settings with which the job runs on the same image, if that is here."""
    spec = code.body["runSpec"]
    distribution = spec.get("distribution", run_spec.DEFAULT_DISTRIBUTION)
    release, version = run_spec.release_of(spec), str(spec.get("version", "0"))
    here = images.of(config).list()
    if any(image.digest == capture.image_digest for image in here):
        key = f"{distribution} {release} {version}"
        return msgspec.structs.replace(config, images={**config.images, key: capture.image_digest})
    await images.ensure(config, distribution, release, version)
    try:
        found = images.of(config).find(distribution, release, version)
    except ImageError as error:
        raise CommandError(str(error), BAD_INPUT) from error
    if capture.image_digest:
        _say(
            f"warning: the job ran on the base image {capture.image} {capture.image_digest[:12]}, "
            f"which is not here; the replay runs on {found.name} {found.digest[:12]}"
        )
    return config


async def _replayed(
    config: Config, running: Running, request: Request, *, material: Material, code: Code
) -> int:
    capture = material.capture
    _warn(running, capture)
    async with _started(config, running, request, material=material, code=code) as client:
        if request.is_shell:
            interpreter = str(code.body["runSpec"]["interpreter"])
            return await replay_shell.enter(
                config, running, client, job=capture.run, interpreter=interpreter
            )
        was_interrupted = await run.follow(running, client, capture.run.job)
        if was_interrupted:
            return run.INTERRUPTED
        wanted = {"defaultFields": True, "fields": {"ran": True}}
        described = await client.call(f"/{capture.run.job}/describe", wanted)
        source = Source(Door(running.url, running.keys.user_token), client)
        outcome = replay_described.outcome(described, await source.lines(capture.run))
        if request.against is None:
            for line in replay_described.other_ground(capture, described.get("ran") or {}):
                _say(f"warning: {line}")
            _tell(capture, outcome, request)
        else:
            await _compare(running, client, material, outcome)
        return 0 if outcome.state == "done" else 1


@contextlib.asynccontextmanager
async def _started(
    config: Config, running: Running, request: Request, *, material: Material, code: Code
) -> AsyncIterator[ApiClient]:
    """Put everything into the platform and start the job; give a client of its user."""
    run_of = _run_of(request, material.capture)
    manner = Manner(mark=f".r{secrets.token_hex(4)}", waits=request.is_shell, given=run_of.given)
    user, platform = running.keys.user, running.platform
    async with ApiClient(running.url, running.keys.user_token) as client:
        try:
            await restoring.restore(platform, material.capture, material.contents, user=user)
            if request.against is not None:
                code = await replay_changed.built(
                    config, running, request.against, code=code, original=run_of
                )
            await restoring.start(platform, run_of, code, manner)
        except errors.ApiError as error:
            raise CommandError(error.message, BAD_INPUT) from error
        except (NoSpaceError, restoring.UnlikeError) as error:
            raise CommandError(str(error)) from error
        except AlreadyThereError as error:
            raise CommandError(f"the same thing comes twice in it: {error}", BAD_INPUT) from error
        yield client


def _run_of(request: Request, capture: Capture) -> replays.Run:
    """Return the run that is wanted: another entry point, or more time to look around."""
    wanted = capture.run
    if request.entry is not None:
        wanted = msgspec.structs.replace(wanted, function=request.entry)
    if request.is_shell:
        wanted = msgspec.structs.replace(wanted, timeout_ms=run_spec.TIMEOUT_MAX_MS)
    return wanted


def _warn(running: Running, capture: Capture) -> None:
    """Say what of the original cannot be had here."""
    machine = running.platform.limits.machine
    for line in [*capture.notes, *replay_described.lacks(capture.run, machine)]:
        _say(f"warning: {line}")


def _tell(capture: Capture, now: Outcome, request: Request) -> None:
    """Print whether the replay did what the original did."""
    _say(f"plasmid: {replay_verdict.told(now)}")
    if request.entry not in (None, capture.run.function):
        return  # another entry point has nothing to be compared with
    found = replay_verdict.differences(capture.outcome, now)
    if not found:
        _say(f"plasmid: {replay_verdict.alike(capture.outcome, now)}")
        return
    _say("plasmid: the replay differs from the original:")
    for block in found:
        _say(f"  {block}")


async def _compare(
    running: Running, client: ApiClient, material: Material, outcome: Outcome
) -> None:
    """Print how changed code differs from the original."""
    then = replay_verdict.Run(
        material.capture.outcome,
        {item.id: item for item in material.capture.objects if item.role == "output"},
        material.contents,
    )
    folder = running.data / "compared"
    folder.mkdir()
    now = await replay_changed.outputs(client, outcome, folder, token=running.keys.user_token)
    _say(f"plasmid: {replay_verdict.told(outcome)}")
    print("beside the original:")
    for block in replay_verdict.beside(then, now):
        print(shown(f"  {block}"))


def _say(line: str) -> None:
    # Names, notes, messages and lines are the job's, or whoever's wrote the bundle.
    print(shown(line), file=sys.stderr, flush=True)
