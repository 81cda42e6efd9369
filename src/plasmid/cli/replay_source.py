"""Learn from a server all that a try of a job was given, and how it ended; nothing is changed.

Everything is asked for by the API that users have, with a user's token: who may not read an input
cannot replay the job.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli import replay_described
from plasmid.cli.logs import Door
from plasmid.cli.replay_described import BAD_INPUT
from plasmid.cli.trouble import CommandError
from plasmid.client import api
from plasmid.client.api import ApiClient
from plasmid.domain import errors, ids, links, replays
from plasmid.domain.replays import Capture, Code, Container, Line, Object, Run

LINES_MAX: Final = 400
"""How many of the last lines of a log are looked at."""
_OWN: Final = ("STDOUT", "STDERR")
_WANTED: Final = ("ran", "runSystemRequirements")
_OF_OBJECT: Final = (
    "name", "folder", "project", "hidden", "types", "details", "properties", "tags", "links",
    "media", "size", "state", "class",
)  # fmt: skip


class Source:
    """One server, asked about one job."""

    def __init__(self, door: Door, client: ApiClient) -> None:
        self._door = door
        self._client = client

    async def _call(self, route: str, body: object) -> dict[str, Any]:
        try:
            return await self._client.call(route, body)
        except api.Unreachable as error:
            raise CommandError(
                f"{error}: start the server (plasmid serve), or replay from a bundle (--bundle)",
                BAD_INPUT,
            ) from error

    async def capture(self, job: str, attempt: int | None, *, needs_code: bool) -> Capture:
        """Return all of a try; raises CommandError, with the remedy, if it cannot be replayed."""
        if not ids.is_id(job, "job"):
            raise CommandError(
                f"{job!r} is no id of a job: that is job- and 24 letters or digits (dx find jobs)",
                BAD_INPUT,
            )
        described = await self._describe_job(job, attempt)
        replay_described.require_replayable(described)
        code = await self._code(described, is_needed=needs_code)
        run = replay_described.run_of(described)
        found = await self._objects(run, code)
        found += await self._outputs(described, run)
        notes = [] if not run.resources else await self._resources(run, found)
        containers = await self._containers(run, code, found)
        ran = described.get("ran") or {}
        return Capture(
            run=run,
            code=code,
            containers=containers,
            objects=[replay_described.placed(item, containers, run) for item in found],
            outcome=replay_described.outcome(described, await self.lines(run)),
            image=ran.get("image", ""),
            image_digest=ran.get("imageDigest", ""),
            layers=ran.get("layers", []),
            variables=replays.variables(run),
            notes=notes,
        )

    async def _describe_job(self, job: str, attempt: int | None) -> dict[str, Any]:
        wanted: dict[str, Any] = {"defaultFields": True, "fields": dict.fromkeys(_WANTED, True)}
        if attempt is not None:
            wanted["try"] = attempt
        try:
            return await self._call(f"/{job}/describe", wanted)
        except errors.ApiError as error:
            where = f" at {self._door.url} (dx find jobs lists yours)"
            raise CommandError(f"{error.message}{where}", BAD_INPUT) from error

    async def _code(self, described: dict[str, Any], *, is_needed: bool) -> Code | None:
        executable = described["executable"]
        try:
            body = await self._call(f"/{executable}/get", {})
        except errors.ApiError as error:
            if not is_needed:
                return None
            why = "is gone" if isinstance(error, errors.ResourceNotFound) else error.message
            raise CommandError(
                f"the executable of {described['id']}, {executable} "
                f"({described['executableName']}): {why}; if you have its source: --against FOLDER",
                BAD_INPUT,
            ) from error
        return Code(
            id=executable,
            name=described["executableName"],
            body=body,
            details=body.get("details") or {},
            version=body.get("version", ""),
            place=body.get("project", ""),
            folder=body.get("folder", "/"),
        )

    async def _objects(self, run: Run, code: Code | None) -> list[Object]:
        """Return what the input and the executable link to, and what that brings along."""
        named = links.named_projects(run.input)
        fields = {
            object_id: name
            for name, value in run.input.items()
            for object_id in links.object_ids(value)
        }
        found: dict[str, Object] = {}
        for object_id, field in fields.items():
            where = f"input {object_id} of field {field}"
            remedy = replay_described.remedy_of_input(run)
            place = named.get(object_id)
            await self._add(
                found, object_id, place or run.project, role="input", what=(where, remedy)
            )
        spec = code.body["runSpec"] if code is not None else {}
        for object_id in replay_described.bundled(spec, run.region):
            where = f"{object_id}, which {run.executable} bundles,"
            remedy = "build the executable again and give its source: --against FOLDER"
            await self._add(
                found, object_id, code.place if code else "", role="bundled", what=(where, remedy)
            )
        return list(found.values())

    async def _add(
        self,
        found: dict[str, Object],
        object_id: str,
        place: str,
        *,
        role: str,
        what: tuple[str, str],
    ) -> None:
        """Describe an object, and the hidden ones that it links to."""
        if object_id in found:
            return
        described = await self._describe(object_id, place)
        if described is None:
            raise CommandError(f"{what[0]} is gone: {what[1]}", BAD_INPUT)
        if described["state"] != "closed":
            raise CommandError(
                f"{what[0]} is {described['state']}, not closed: close it first", BAD_INPUT
            )
        found[object_id] = replay_described.object_of(object_id, described, role)
        for target in described.get("links") or []:
            linked = await self._describe(target, described["project"])
            if linked is not None and linked["hidden"]:
                await self._add(found, target, described["project"], role=role, what=what)

    async def _describe(self, object_id: str, place: str) -> dict[str, Any] | None:
        """Return what an object is, in a place if it is there; None if it is nowhere to be seen."""
        wanted: dict[str, Any] = {"fields": dict.fromkeys(_OF_OBJECT, True)}
        route = f"/{object_id}/{'get' if object_id.startswith('applet-') else 'describe'}"
        for hint in ({"project": place}, {}) if place else ({},):
            try:
                return await self._call(route, {**wanted, **hint})
            except (errors.ResourceNotFound, errors.PermissionDenied):
                continue
        return None

    async def _outputs(self, described: dict[str, Any], run: Run) -> list[Object]:
        """Return the files of the original's output that are still there, to compare with."""
        found = []
        for object_id in links.object_ids(described.get("output") or {}):
            told = await self._describe(object_id, run.project)
            if object_id.startswith("file-") and told is not None and told["state"] == "closed":
                found.append(replay_described.object_of(object_id, told, "output"))
        return found

    async def _resources(self, run: Run, found: list[Object]) -> list[str]:
        """Add what the app's resources hold; return a note if this user may not see that."""
        scope = {"project": run.resources, "folder": "/", "recurse": True}
        wanted = {"fields": dict.fromkeys(_OF_OBJECT, True)}
        asked: dict[str, Any] = {"scope": scope, "visibility": "either", "describe": wanted}
        results = []
        while True:
            try:
                answer = await self._call("/system/findDataObjects", asked)
            except errors.ApiError as error:
                return [f"the app's resources are not in the replay: {error.message}"]
            results += answer["results"]
            if answer["next"] is None:
                break
            asked["starting"] = answer["next"]
        known = {item.id for item in found}
        found += [
            replay_described.object_of(entry["id"], entry["describe"], "resource")
            for entry in results
            if entry["id"] not in known and entry["describe"]["state"] == "closed"
        ]
        return []

    async def _containers(
        self, run: Run, code: Code | None, found: list[Object]
    ) -> list[Container]:
        wanted = {run.project, *(item.container for item in found)}
        if code is not None:
            wanted.add(code.place)
        made = []
        for container in sorted(wanted):
            if not container.startswith("project-"):
                continue
            fields = {"defaultFields": True, "fields": {"permissions": True}}
            try:
                told = await self._call(f"/{container}/describe", fields)
            except errors.ApiError as error:
                if container == run.project:
                    raise CommandError(error.message, BAD_INPUT) from error
                continue
            level = (told.get("permissions") or {}).get(run.launched_by) or told["level"]
            made.append(Container(container, told["name"], told["region"], told["billTo"], level))
        return made

    async def lines(self, run: Run) -> list[Line]:
        """Return the last lines that the try's own code has written."""
        asked: dict[str, Any] = {"try": run.attempt, "levels": _OWN, "limit": LINES_MAX}
        place: dict[str, Any] = {"numRecentMessages": LINES_MAX}
        found: list[Line] = []
        while len(found) < LINES_MAX:  # a page of long lines may be short
            page = await self._call(f"/{run.job}/getLog", asked | place)
            found += [Line(told["level"], told["msg"]) for told in page["results"]]
            if not page["results"] or page["next"] is None:
                break
            place = {"starting": page["next"]}
        return found

    async def fetch(self, item: Object, target: Path) -> Object:
        """Write a file's bytes to a path; return it with their digest."""
        try:
            size_bytes = await self._client.download(item.id, target, token=self._door.token)
        except (api.Unreachable, errors.ApiError) as error:
            raise CommandError(
                f"{item.name} ({item.id}) cannot be read: {error}", BAD_INPUT
            ) from error
        if size_bytes != item.size_bytes:
            raise CommandError(
                f"{item.name} ({item.id}) has {size_bytes} bytes and not {item.size_bytes}: "
                "`plasmid fsck --deep` looks what is wrong with the server's files",
                BAD_INPUT,
            )
        return msgspec.structs.replace(item, sha256=digest_of(target))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
