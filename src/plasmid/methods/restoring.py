"""Put a captured try into an empty platform and start it there under its own ids.

These are no methods of the API: whoever serves a platform in the same process may call them, and
nobody else can. `plasmid replay` does, on a platform that is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from plasmid.domain import app_spec, errors, ids, io_spec, links, replays, run_spec
from plasmid.domain.access import Level
from plasmid.domain.replays import Capture, Code, Container, Manner, Object, Run
from plasmid.executions import cloning, launch, waking
from plasmid.executions.launch import Launch
from plasmid.executions.world import Moment
from plasmid.metadata import apps, objects, projects, users
from plasmid.metadata.rows import (
    AppNameRow,
    AppRow,
    ContainerRow,
    ObjectRow,
    PartRow,
    PlacementRow,
    UserRow,
)
from plasmid.methods import app_making, applet
from plasmid.methods.call import Platform

READ_BYTES: Final = 1 << 20
_KEPT: Final = (
    "dxapi", "title", "summary", "description", "developerNotes", "ignoreReuse",
    "treeTurnaroundTimeThreshold",
)  # fmt: skip
_MIRRORS: Final = ("bundledDependsByRegion", "systemRequirementsByRegion")


class UnlikeError(Exception):
    """A file that was brought is not the one that was captured."""


@contextlib.asynccontextmanager
async def _moment(platform: Platform) -> AsyncIterator[Moment]:
    async with platform.database.transaction() as tx:
        moment = Moment(
            tx,
            now_ms=platform.now_ms(),
            randomness=platform.randomness,
            authenticator=platform.authenticator,
            logs=platform.logs,
        )
        async with waking.following(moment):
            yield moment


async def restore(
    platform: Platform, capture: Capture, contents: Mapping[str, Path], *, user: str
) -> None:
    """Make all of a capture but its job and code; `contents` are its files' bytes, by their ids.

    `user` may read all of it; the one who launched the job may do there what they could then.
    """
    replays.check(capture)
    run = capture.run
    parts = {item.id: await _kept(platform, item, contents) for item in _wanted(capture)}
    async with _moment(platform) as moment:
        await _add_user(moment, run.launched_by)
        for container in capture.containers:
            await moment.tx.add(_project(moment, container, run))
            await projects.set_member(moment.tx, container.id, user, Level.ADMINISTER)
            level = Level[container.level]
            await projects.set_member(moment.tx, container.id, run.launched_by, level)
        for container_id, kind in _execution_containers(run):
            await moment.tx.add(_execution_container(moment, run, container_id, kind))
        await cloning.add_folder_with_parents(moment, run.project, run.folder)
        for item in _wanted(capture):
            await _add_object(moment, item, run)
            part = parts[item.id]
            if part is not None:
                await objects.put_part(moment.tx, part)


async def start(platform: Platform, run: Run, code: Code, manner: Manner) -> str:
    """Make the executable, whose code may be another than it was, and start the job; its id."""
    replays.check_code(code, run)
    async with _moment(platform) as moment:
        await _add_executable(moment, run, code)
        project = await projects.find_container(moment.tx, run.project)
        if project is None:
            raise errors.InvalidState(f"{run.project} was not restored")
        await launch.launch(moment, _launch(run, manner, project))
    return run.job


def _wanted(capture: Capture) -> list[Object]:
    """Return what is made before the start; the executable is not, also if it is an input."""
    return [
        item
        for item in capture.objects
        if item.role != "output" and item.id != capture.run.executable
    ]


def _launch(run: Run, manner: Manner, project: ContainerRow) -> Launch:
    containers = dict(zip(app_spec.OF_JOB, (run.resources, run.project_cache), strict=True))
    return Launch(
        job_id=run.job,
        workspace=run.workspace,
        attempt=run.attempt,
        executable=run.executable,
        executable_name=run.executable_name,
        function=run.function,
        name=run.name,
        project=project,
        folder=run.folder,
        launched_by=run.launched_by,
        run_input=run.run_input,
        original_input=run.input,
        depends_on=[],
        tags=run.tags,
        properties=run.properties,
        priority="high",
        rank=0,
        instance_type=run.instance_type,
        settings={
            "systemRequirements": run.system_requirements,
            "executionPolicy": {"restartOn": {}, "maxRestarts": 0},
            "timeout": run.timeout_ms,
            "networkAccess": run.network,
            "details": run.details,
            replays.SETTING: _as_json(manner),
            **{name: value for name, value in containers.items() if value},
        },
    )


def _as_json(manner: Manner) -> dict[str, Any]:
    given = manner.given
    return {
        "mark": manner.mark,
        "waits": manner.waits,
        "given": {name: getattr(given, name) for name in given.__struct_fields__},
    }


async def _add_user(moment: Moment, user: str) -> None:
    if await users.find_user(moment.tx, user) is None:
        handle = user.partition("-")[2]
        await moment.tx.add(
            UserRow(user, handle, handle, "", f"{handle}@localhost", user, None, moment.now_ms)
        )


def _project(moment: Moment, container: Container, run: Run) -> ContainerRow:
    return ContainerRow(
        id=container.id,
        class_name="project",
        name=container.name,
        region=container.region,
        summary="",
        description="",
        bill_to=container.bill_to,
        created_by=run.launched_by,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        version=1,
        flags={},
        tags=[],
        properties={},
        project=None,
    )


def _execution_containers(run: Run) -> list[tuple[str, str | None]]:
    """Return the job's workspace and the containers of its app, with their kinds."""
    found: list[tuple[str, str | None]] = [(run.workspace, None)]
    found += [(run.resources, app_spec.RESOURCES)] if run.resources else []
    return found + ([(run.project_cache, app_spec.CACHE)] if run.project_cache else [])


def _execution_container(
    moment: Moment, run: Run, container: str, kind: str | None
) -> ContainerRow:
    """Return a workspace, or a container of the job's app."""
    return ContainerRow(
        id=container,
        class_name="container",
        name=f"{run.executable_name} {kind}" if kind else container,
        region=run.region,
        summary="",
        description="",
        bill_to=run.bill_to,
        created_by=run.launched_by,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        version=0,
        flags={},
        tags=[],
        properties={},
        project=None if kind == app_spec.RESOURCES else run.project,
        kind=kind,
        app=run.executable if kind else None,
    )


async def _add_executable(moment: Moment, run: Run, code: Code) -> None:
    if code.id.startswith("app-"):
        await _add_app(moment, run, code)
        return
    body = _body(code)
    found = Object(
        id=code.id,
        role="bundled",
        container=code.place or run.workspace,
        name=code.name,
        folder=code.folder,
        details=code.details,
        links=run_spec.bundled_ids(body["runSpec"]),
        body=body,
    )
    await _add_object(moment, found, run)


def _body(code: Code) -> dict[str, Any]:
    """Return an executable as it is kept, from how the API describes it."""
    kept = {name: code.body[name] for name in _KEPT if code.body.get(name) is not None}
    spec = {
        key: value
        for key, value in code.body["runSpec"].items()
        if key not in _MIRRORS and run_spec.UNSAID.get(key) is not value
    }
    kept["runSpec"] = run_spec.check_run_spec(spec)
    default = None if code.id.startswith("app-") else applet.DEFAULT_ACCESS
    kept["access"] = run_spec.check_access(code.body.get("access"), default=default)
    for name in ("inputSpec", "outputSpec"):
        checked = io_spec.check_spec(code.body.get(name), where=name)
        if checked is not None:
            kept[name] = checked
    return kept


async def _add_app(moment: Moment, run: Run, code: Code) -> None:
    """Make a version of an app; one that comes with the platform is there already."""
    if await apps.find_version(moment.tx, code.id) is not None:
        return
    if await apps.find_name(moment.tx, code.name) is None:
        listing = AppNameRow(code.name, run.bill_to, [run.launched_by], [run.launched_by], [])
        await moment.tx.add(listing)
    version = AppRow(
        id=code.id,
        name=code.name,
        version=code.version,
        regional_options={run.region: {"resources": run.resources}},
        created_by=run.launched_by,
        created_ms=moment.now_ms,
        modified_ms=moment.now_ms,
        published_ms=moment.now_ms,
        deleted_ms=None,
    )
    await moment.tx.add(version)
    body = {**_body(code), "runSpec": code.body["runSpec"]}
    await moment.tx.add(app_making.object_of(version, body, code.details))


async def _add_object(moment: Moment, item: Object, run: Run) -> None:
    class_name = ids.class_of(item.id) or ""
    body = item.body
    if class_name == "applet":
        body = _body(Code(id=item.id, name=item.name, body=body))
    await moment.tx.add(
        ObjectRow(
            id=item.id,
            class_name=class_name,
            state="closed",
            hidden=item.hidden,
            types=item.types,
            details=item.details,
            links=list(dict.fromkeys([*links.object_ids(item.details), *item.links])),
            created_ms=moment.now_ms,
            created_by=run.launched_by,
            created_by_job=None,
            created_by_executable=None,
            media=item.media,
            size_bytes=item.size_bytes if item.has_bytes else None,
            body=body,
        )
    )
    await cloning.add_folder_with_parents(moment, item.container, item.folder)
    await moment.tx.add(
        PlacementRow(
            container=item.container,
            object=item.id,
            folder=item.folder,
            name=item.name,
            tags=item.tags,
            properties=item.properties,
            modified_ms=moment.now_ms,
        )
    )
    await objects.set_links(moment.tx, item.id, list(dict.fromkeys(item.links)))


async def _kept(platform: Platform, item: Object, contents: Mapping[str, Path]) -> PartRow | None:
    """Keep a file's bytes; raises UnlikeError if they are not as many as were captured."""
    if not item.has_bytes:
        return None
    name = ids.mint("blob", platform.randomness(15))
    written = await platform.blobs.write(name, _read(contents[item.id]), item.size_bytes)
    if written.size_bytes != item.size_bytes:
        raise UnlikeError(f"{item.id} has {written.size_bytes} bytes, not {item.size_bytes}")
    return PartRow(item.id, 1, "complete", written.size_bytes, written.md5, written.name)


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := await asyncio.to_thread(file.read, READ_BYTES):
            yield piece
