"""Give ids of another platform local objects (contract I.7): what `plasmid asset` calls.

Apps name records, files and projects of the platform that they were written for. An object under
such an id is an object like any other, so every route finds it. Everything may be repeated: what is
there already is left as it is. A project made here may be read by everybody.
"""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.blobs.store import BlobStore, MissingBlobError, NoSpaceError
from plasmid.domain import errors, folders, ids, properties, run_spec
from plasmid.domain.access import Level
from plasmid.executions import cloning
from plasmid.metadata import objects, projects
from plasmid.metadata.rows import ContainerRow, PartRow, PlacementRow
from plasmid.methods import creation, moments, removal, targets
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject

TWINS: tuple[str, ...] = ("applet", "file", "record")


class AdoptedProject(msgspec.Struct):
    """A project under an id of another platform."""

    id: str
    name: str
    region: str


class AdoptedObject(msgspec.Struct, omit_defaults=True):
    """A record, closed at once, or a file, to be uploaded, under an id of another platform."""

    id: str
    project: str
    name: str
    folder: str = "/"
    hidden: bool = False
    types: list[str] = []
    details: dict[str, Any] = {}
    properties: dict[str, str] = {}


class Twin(msgspec.Struct, omit_defaults=True):
    """An object under an id of another platform, the same as a local one."""

    id: str
    of: str
    project: str
    name: str | None = None
    folder: str = "/"


class Unmapping(msgspec.Struct):
    """An object to take out of the one project, or out of all of them."""

    id: str
    project: str | None = None


@method("/internal/project/adopt", access=Access.OPERATOR, body=AdoptedProject, mode=Mode.WRITE)
async def adopt_project(call: Call, target: None, body: AdoptedProject) -> Ref:
    """Make a project under a given id, which everybody may read and the operator administers."""
    _require_id(body.id, "project")
    if body.region not in call.platform.regions:
        known = ", ".join(call.platform.regions)
        raise errors.InvalidInput(f'Expected key "region" of input to be one of {known}')
    if await projects.find_container(call.reader, body.id) is None:
        await call.tx.add(_project(call, body))
        await projects.set_member(call.tx, body.id, call.user, Level.ADMINISTER)
        await projects.set_member(call.tx, body.id, projects.PUBLIC, Level.VIEW)
    return Ref(body.id)


def _require_id(entity_id: str, *classes: str) -> None:
    if not ids.is_id(entity_id, *classes):
        wanted = " or ".join(f"{name}-" for name in classes)
        raise errors.InvalidInput(
            f'Expected key "id" of input to be {wanted} and 24 letters or digits'
        )


def _project(call: Call, body: AdoptedProject) -> ContainerRow:
    return ContainerRow(
        id=body.id,
        class_name="project",
        name=properties.check_name(body.name),
        region=body.region,
        summary="",
        description="",
        bill_to=call.user,
        created_by=call.user,
        created_ms=call.now_ms,
        modified_ms=call.now_ms,
        version=1,
        flags={},
        tags=[],
        properties={},
        project=None,
    )


@method("/internal/object/adopt", access=Access.OPERATOR, body=AdoptedObject, mode=Mode.WRITE)
async def adopt_object(call: Call, target: None, body: AdoptedObject) -> dict[str, str]:
    """Make a record or an open file under a given id; answer with its state."""
    _require_id(body.id, "file", "record")
    present = await objects.find_object(call.reader, body.id)
    if present is not None:
        await _require_here(call, body.id, body.project)
        return {"id": body.id, "state": present.state}
    is_record = body.id.startswith("record-")
    state = "closed" if is_record else "open"
    given = {**msgspec.to_builtins(body), "parents": True}
    class_name = "record" if is_record else "file"
    await creation.create(call, class_name, given, state=state, content={}, object_id=body.id)
    return {"id": body.id, "state": state}


async def _require_here(call: Call, object_id: str, project: str) -> None:
    """Raise unless an object lies in a project; builds may have left copies elsewhere."""
    places = [place.container for place in await objects.find_placements(call.reader, object_id)]
    if project not in places:
        raise errors.InvalidState(
            f"{object_id} is in {', '.join(places)} already, where a build has copied it; remove it"
            f" there too: plasmid asset unmap {object_id} --everywhere"
        )


@method("/internal/object/twin", access=Access.OPERATOR, body=Twin, mode=Mode.WRITE)
async def twin(call: Call, target: None, body: Twin) -> Ref:
    """Make an object under a given id, the same as a local one; bytes are kept once."""
    _require_id(body.id, *TWINS)
    source = await targets.get_data_object(call, body.of)
    if source.row.class_name != ids.class_of(body.id):
        raise errors.InvalidInput(f"{body.of} is no {ids.class_of(body.id)}, as {body.id} is")
    if source.row.state != "closed":
        raise errors.InvalidState(f"{body.of} is not closed; close it first")
    if await objects.find_object(call.reader, body.id) is not None:
        await _require_here(call, body.id, body.project)
        return Ref(body.id)
    container = await targets.get_container(call, body.project, Level.UPLOAD)
    folder = folders.normalise(body.folder)
    async with moments.of(call) as moment:
        await cloning.add_folder_with_parents(moment, container.id, folder)
    created = {"id": body.id, "created_ms": call.now_ms, "created_by": call.user}
    await call.tx.add(msgspec.structs.replace(source.row, **created))
    await call.tx.add(
        PlacementRow(
            container=container.id,
            object=body.id,
            folder=folder,
            name=source.place.name if body.name is None else properties.check_name(body.name),
            tags=source.place.tags,
            properties=source.place.properties,
            modified_ms=call.now_ms,
        )
    )
    await objects.set_links(call.tx, body.id, source.row.links)
    await _bring_along(call, source, container.id)
    for part in await objects.find_parts(call.reader, body.of):
        await objects.put_part(call.tx, await _copied(call, part, body.id))
    return Ref(body.id)


async def _bring_along(call: Call, source: DataObject, destination: str) -> None:
    """Place what an object needs next to it: the hidden ones it links to, all that it bundles."""
    own = source.place.container
    needed = await objects.find_hidden_in(call.reader, own, source.row.links)
    needed += run_spec.bundled_ids(source.row.body.get("runSpec", {}))
    async with moments.of(call) as moment:
        await cloning.clone_objects(moment, needed, source=own, destination=destination)


async def _copied(call: Call, part: PartRow, file_id: str) -> PartRow:
    blobs: BlobStore = call.platform.blobs
    name = None
    if part.blob is not None:
        name = ids.mint("blob", call.platform.randomness(15))
        try:
            await blobs.copy(part.blob, name)
        except NoSpaceError as error:
            raise errors.ServiceUnavailable(str(error)) from error
        except MissingBlobError as error:
            raise errors.InvalidState(f"{part.object} is damaged: {error}") from error
    return msgspec.structs.replace(part, object=file_id, blob=name)


@method("/internal/object/unmap", access=Access.OPERATOR, body=Unmapping, mode=Mode.WRITE)
async def unmap(call: Call, target: None, body: Unmapping) -> Ref:
    """Take an object out of a project, or with none named out of all; not there is no error."""
    for place in await objects.find_placements(call.reader, body.id):
        if body.project in (None, place.container):
            await removal.remove(call, place.container, [body.id])
    return Ref(body.id)
