"""Archive files and bring them back (contract C.9): states, for no byte moves anywhere here."""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import archival, errors, folders, keys, orgs
from plasmid.metadata import archival as stored
from plasmid.metadata.archival import Copy
from plasmid.methods import folders as folder_methods
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container, DataObject

_ONE_OF_BOTH: Final = "Expecting either a single folder or a list of files for each API request"
_GIB: Final = 2**30


@method("/project-xxxx/archive", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def archive(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for the archival of files or of a folder's; return how many were live until now."""
    all_copies = keys.boolean(body, "allCopies")
    payer = target.row.bill_to
    if all_copies and not _is_payer(call, payer):
        raise errors.PermissionDenied(f"Must be an admin of {payer} to archive all copies")
    copies = [
        copy
        for copy in await _copies(call, target, body)
        if _may_archive(copy, all_copies=all_copies)
    ]
    object_ids = [copy.id for copy in copies]
    if all_copies:
        await stored.archive_all_copies(call.tx, object_ids, payer=payer, now_ms=call.now_ms)
    else:
        await stored.archive(call.tx, target.id, object_ids, payer=payer)
    return {"id": target.id, "count": len(copies)}


def _is_payer(call: Call, payer: str) -> bool:
    if call.actor.job is not None or call.actor.scope is not None:
        return False  # there are copies in projects to which such a token does not reach
    place = call.orgs.get(payer)
    return payer == call.user or (place is not None and place.level == orgs.ADMIN)


def _may_archive(copy: Copy, *, all_copies: bool) -> bool:
    # of a copy whose archival was asked for before, others may still be live
    return copy.state == archival.LIVE or (all_copies and copy.state == archival.ARCHIVAL)


@method("/project-xxxx/unarchive", access=Access.CONTRIBUTE, mode=Mode.WRITE)
async def unarchive(call: Call, target: Container, body: dict[str, Any]) -> dict[str, Any]:
    """Bring files or a folder's back; return how many and how large they are; it costs nothing."""
    keys.one_of(body, "rate", archival.RATES)
    asked = (archival.ARCHIVAL, archival.ARCHIVED)
    copies = [copy for copy in await _copies(call, target, body) if copy.state in asked]
    if not keys.boolean(body, "dryRun"):
        payer = target.row.bill_to
        await stored.unarchive(call.tx, target.id, copies, payer=payer, now_ms=call.now_ms)
    size_bytes = sum(copy.size_bytes for copy in copies)
    size = round(size_bytes / _GIB, 6)
    return {"id": target.id, "files": len(copies), "size": size, "cost": 0}


async def _copies(call: Call, target: Container, body: dict[str, Any]) -> list[Copy]:
    """Return the closed files that the body names, or those of the folder it names."""
    files = keys.strings(body, "files")
    recurse = keys.boolean(body, "recurse", default=True)
    if (files is None) is (body.get("folder") is None):
        raise errors.InvalidInput(_ONE_OF_BOTH)
    if files is None:
        folder = folders.normalise(body["folder"])
        await folder_methods.require_folder(call, target.id, folder)
        return await stored.find_files_in(
            call.reader, target.id, folder, recurse=recurse, now_ms=call.now_ms
        )
    found = await stored.find_copies(call.reader, target.id, files, call.now_ms)
    closed = {copy.id for copy in found if (copy.class_name, copy.object_state) == _CLOSED_FILE}
    for file_id in files:
        if file_id not in closed:
            raise errors.InvalidInput(
                f'Expected key "files" of input to name closed files in {target.id};'
                f" {file_id} is none"
            )
    return found


_CLOSED_FILE: Final = ("file", "closed")


def require_live(call: Call, found: DataObject, project: object, purpose: str) -> None:
    """Raise InvalidState unless a file is live in a project, or anywhere if that does not hold it.

    Only places that the caller sees count.
    """
    if found.row.class_name != "file":
        return
    places = [place for place, _ in found.places]
    named = [place for place in places if place.container == project]
    states = [
        archival.state_of(place.archival_state, place.archival_until_ms, call.now_ms)
        for place in named or places
    ]
    if archival.LIVE not in states:
        archival.require_live(found.id, states[0], purpose)
