"""Give a job the outputs of an equal one that is done, instead of running it (contract F.11).

Looked for once, when the job's inputs are ready; all of it is in the transaction that would make
the job runnable. The log of the job says from which one its outputs are, or what was different.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from plasmid.domain import access, archival, https_app, links, reuse, ssh_access
from plasmid.domain.access import Level
from plasmid.domain.job_states import Event
from plasmid.executions import advance, cloning, outputs
from plasmid.executions.world import Moment
from plasmid.metadata import objects, orgs, projects
from plasmid.metadata import reuse as equals
from plasmid.metadata.rows import JobRow, PlacementRow

_WHY: Final = "it was removed or archived, or may not be seen or cloned"


class Earlier(msgspec.Struct, frozen=True):
    """A job whose outputs can be had, where they are, and the input that it has in common."""

    job: JobRow
    places: list[PlacementRow]
    input: dict[str, Any]


async def key_of(moment: Moment, row: JobRow) -> str | None:
    """Return what a job that is done has in common with its equals.

    None for sub-jobs, and where one could log in to it or to a job below: what somebody did there
    is no part of the input, and others would be given it.
    """
    key = await _compared_by(moment, row)
    return None if key and await equals.could_log_in(moment.tx, row.id) else key


async def _compared_by(moment: Moment, row: JobRow) -> str | None:
    if row.function != "main" or await outputs.is_subjob(moment, row):
        return None
    return reuse.key(row.executable, row.region, row.input)


async def find(moment: Moment, row: JobRow, settled: dict[str, Any]) -> Earlier | str | None:
    """Return an equal job whose outputs one whose inputs are ready may have, or else a note.

    The note is what its log is to say of why it has to run; None if nothing was like it, or nobody
    asked for reuse.
    """
    if row.function != "main" or not await _is_on(moment, row):
        return None
    ready = msgspec.structs.replace(row, input=settled)
    key = await _compared_by(moment, ready)
    if key is None:
        return None
    found = await _refusal(moment, row) or await _find(moment, ready, key)
    return f"Not reused: {found}" if isinstance(found, str) else found


async def take_over(moment: Moment, row: JobRow, earlier: Earlier) -> JobRow:
    """Put the outputs of an earlier job where those of this one belong, and move it to done."""
    source = earlier.job
    destination = await outputs.destination(moment, row)
    by_container: dict[str, list[str]] = defaultdict(list)
    for place in earlier.places:
        by_container[place.container].append(place.object)
    if await projects.find_container(moment.tx, destination) is not None:
        for container, object_ids in by_container.items():
            await cloning.clone_objects(
                moment,
                object_ids,
                source=container,
                destination=destination,
                below=row.folder,
                moved=(source.folder, row.folder),
            )
    changes: dict[str, Any] = {
        "input": earlier.input,
        "output": source.output,
        "settings": row.settings | {reuse.SOURCE: source.id},
    }
    done = await advance.apply(moment, row, Event.REUSED, changes)
    ended_ms = source.state_transitions[-1]["setAt"]
    ended = datetime.fromtimestamp(ended_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    moment.say(
        done,
        f"Outputs reused from {source.id} ({source.name}, done {ended}): the same executable and "
        "input. Nothing was run; with --ignore-reuse it is run",
    )
    return done


async def _is_on(moment: Moment, row: JobRow) -> bool:
    """Say whether reuse was asked for: the nearest who has said anything decides."""
    for properties in (row.properties, *await equals.find_properties_above(moment.tx, row)):
        asked = reuse.asked(properties)
        if asked is not None:
            return asked
    project = await projects.find_container(moment.tx, row.project)
    asked = reuse.asked(project.properties) if project else None
    if asked is not None:
        return asked
    org = await orgs.find_org(moment.tx, row.bill_to)
    if org is not None and org.policies.get(reuse.POLICY) is True:
        return True
    return bool(row.settings.get(reuse.SETTING))


async def _refusal(moment: Moment, row: JobRow) -> str | None:
    """Return why a job is to run whatever there is; None if nobody wants that.

    The job of a stage says ignoreReuse if the run or the workflow says so of the stage.
    """
    executable = await objects.find_object(moment.tx, row.executable)
    body = executable.body if executable else {}
    who = "run" if row.stage is None else "run or the workflow"
    reasons = {
        f"the {who} says ignoreReuse": row.settings.get(reuse.IGNORE),
        f"{row.executable} says ignoreReuse": body.get(reuse.IGNORE),
        f"{row.executable} is a web application": https_app.declared_by(body) is not None,
        "the run allows SSH, which needs a job that runs": row.settings.get(ssh_access.FIELD),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


async def _find(moment: Moment, row: JobRow, key: str) -> Earlier | str | None:
    """Return an equal job whose outputs can be had, or in words what keeps there from being one."""
    missing = None
    viewer = _Viewer(moment, row)
    for equal in await equals.find_equal(moment.tx, key):
        is_near = equal.root_execution == row.root_execution
        if not is_near and not await viewer.may_view(equal.project):
            continue
        places, lacking = await _places_of(moment, equal, viewer)
        if lacking is None:
            return Earlier(equal, places, row.input)
        missing = missing or f"{equal.id} is equal, but {lacking}"
    return missing or await _nearest(moment, row)


class _Viewer:
    """What the launcher of a job may see, through the token that launched it."""

    def __init__(self, moment: Moment, row: JobRow) -> None:
        self._moment = moment
        self._user = row.launched_by
        self._project = row.project
        grant = row.settings.get("grant") or {}
        self._scope = access.kept_scope(grant.get("scope"))
        self._known: dict[str, tuple[bool, bool]] = {}

    async def may_view(self, container_id: str) -> bool:
        """Say whether a project, or the project of a container, may be looked at."""
        return (await self._rights(container_id))[0]

    async def may_clone(self, container_id: str) -> bool:
        """Say whether what lies in a container may be cloned to where the job runs (C.8)."""
        return all(await self._rights(container_id))

    async def _rights(self, container_id: str) -> tuple[bool, bool]:
        if container_id not in self._known:
            container = await projects.find_container(self._moment.tx, container_id)
            home = container.project or container.id if container else ""
            project = await projects.find_container(self._moment.tx, home)
            self._known[container_id] = (False, False)
            if project is not None:
                is_open = home == self._project or not project.flags.get("restricted")
                self._known[container_id] = (await self._may_view(home), is_open)
        return self._known[container_id]

    async def _may_view(self, project: str) -> bool:
        members = await projects.find_members(self._moment.tx, project)
        own = await orgs.level_among(self._moment.tx, self._user, members)
        if self._scope is not None:
            own = min(own, access.level_in(self._scope, project))
        return max(own, members.get(projects.PUBLIC, Level.NONE)) >= Level.VIEW


async def _places_of(
    moment: Moment, equal: JobRow, viewer: _Viewer
) -> tuple[list[PlacementRow], str | None]:
    """Return where the outputs of a job lie, or what there is no more of them."""
    output = equal.output or {}
    home = await outputs.destination(moment, equal)
    known = await objects.find_objects(moment.tx, links.object_ids(output))
    places = []
    for name, value in output.items():
        for object_id in links.object_ids(value):
            place = None
            if object_id in known and known[object_id].state == "closed":
                place = await _place_of(moment, object_id, home, viewer=viewer)
            if place is None:
                return [], f'its output "{name}" ({object_id}) is not to be had: {_WHY}'
            places.append(place)
    return places, None


async def _place_of(
    moment: Moment, object_id: str, home: str, *, viewer: _Viewer
) -> PlacementRow | None:
    """Return the best place from which an object may be cloned: first where the job has put it."""
    places = await objects.find_placements(moment.tx, object_id)
    places.sort(key=lambda place: place.container != home)
    for place in places:
        state = archival.state_of(place.archival_state, place.archival_until_ms, moment.now_ms)
        if state == archival.LIVE and await viewer.may_clone(place.container):
            return place
    return None


async def _nearest(moment: Moment, row: JobRow) -> str | None:
    """Return in words how the most similar of the recent jobs differs; None if none is similar."""
    near = await equals.find_near(moment.tx, row.project, row.executable)
    if near:
        found = {other.id: reuse.differences(row.input, other.input) for other in near}
        closest = min(near, key=lambda other: len(found[other.id]))
        return f"compared with {closest.id}, {reuse.named(found[closest.id])}"
    other = await equals.find_of_other(moment.tx, row.project, row)
    if other is None:
        return None
    return f"{other.id} ran {other.executable}, this job runs {row.executable}: another executable"
