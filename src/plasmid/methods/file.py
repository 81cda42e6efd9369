"""Files: make, upload, close, download (contract D.2-D.5)."""

from __future__ import annotations

import base64
import re
from typing import Any, Final
from urllib.parse import quote

from plasmid.domain import errors, ids, keys, object_states, properties, upload_limits
from plasmid.domain.upload_limits import UploadedPart, UploadLimits
from plasmid.executions import restricted
from plasmid.metadata import jobs, objects, projects
from plasmid.metadata.rows import PartRow
from plasmid.methods import archival, creation, shared, signing
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject

UPLOAD_MS: Final = 24 * 3600 * 1000
DOWNLOAD_MS: Final = 24 * 3600 * 1000
DOWNLOAD_MS_MAX: Final = 10 * 366 * 24 * 3600 * 1000
WINDOW_MS: Final = 3600 * 1000
_MD5: Final = re.compile(r"[0-9a-f]{32}")


@method("/file/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Create a file, open for upload."""
    await _require_upload_allowed(call, body.get("project"))
    media = keys.string(body, "media")
    if media is not None and not (media.isascii() and media.isprintable()):
        raise errors.InvalidInput('Expected key "media" of input to be a media type')
    state = object_states.born("file")
    return Ref(await creation.create(call, "file", body, state=state, content={"media": media}))


async def _require_upload_allowed(call: Call, project: object) -> None:
    if not ids.is_id(project, "project") or call.actor.job is not None:
        return
    row = await projects.find_container(call.reader, str(project))
    if row is not None and row.flags.get("externalUploadRestricted"):
        raise errors.PermissionDenied(f"{project} accepts uploads from jobs only")


@method("/file-xxxx/upload", access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def upload(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Return the URL and headers with which one part is put; an upload again replaces it."""
    object_states.require_open(target.id, target.row.state)
    limits = await _limits(call, target)
    index, size_bytes, md5 = _part_of(body, limits)
    present = await objects.find_part(call.reader, target.id, index)
    if present is None:
        await objects.put_part(
            call.tx, PartRow(target.id, index, "pending", size_bytes or 0, md5 or "", None)
        )
    expires_ms = call.now_ms + UPLOAD_MS
    claim = signing.UploadClaim(target.id, index, size_bytes, md5, expires_ms)
    path = signing.upload_path(call.platform.signing_key, claim)
    headers = {}
    if md5 is not None:
        headers["content-md5"] = base64.b64encode(bytes.fromhex(md5)).decode()
    return {"url": call.request.base_url + path, "headers": headers, "expires": expires_ms}


def _part_of(body: dict[str, Any], limits: UploadLimits) -> tuple[int, int | None, str | None]:
    index, size_bytes, md5 = body.get("index", 1), body.get("size"), body.get("md5")
    if not isinstance(index, int) or isinstance(index, bool):
        raise errors.InvalidInput('Expected key "index" of input to be an integer')
    if size_bytes is not None and (not isinstance(size_bytes, int) or isinstance(size_bytes, bool)):
        raise errors.InvalidInput('Expected key "size" of input to be an integer')
    if md5 is not None and not (isinstance(md5, str) and _MD5.fullmatch(md5.lower())):
        raise errors.InvalidInput('Expected key "md5" of input to be an MD5 in hexadecimal')
    upload_limits.check_part(index, size_bytes or 0, limits=limits)
    return index, size_bytes, md5.lower() if md5 else None


async def _limits(call: Call, target: DataObject) -> UploadLimits:
    row = await projects.find_container(call.reader, target.place.container)
    return upload_limits.for_region(row.region if row else "")


@method("/file-xxxx/close", access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def close(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Close a file whose parts are all there; every part was checked when it was put."""
    if not object_states.needs_closing(target.row.state):
        return Ref(target.id)
    parts = await objects.find_parts(call.reader, target.id)
    size_bytes = upload_limits.check_parts_for_close(
        [UploadedPart(part.part, part.size_bytes, part.state == "complete") for part in parts],
        limits=await _limits(call, target),
    )
    await shared.close(call, target, {"size_bytes": size_bytes})
    return Ref(target.id)


@method("/file-xxxx/download", access=Access.OBJECT_VIEW)
async def download(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Return a URL for the file's bytes; the same question within an hour gives the same URL."""
    _require_in_project(target, body.get("project"))
    object_states.require_closed(target.id, target.row.state)
    archival.require_live(call, target, body.get("project"), "downloaded")
    await _require_download_allowed(call, target, body.get("project"))
    keys.boolean(body, "preauthenticated")  # the URL works by itself either way
    duration_ms = _duration(body)
    name = body.get("filename")
    name = target.place.name if name is None else properties.check_name(name, "filename")
    claim = signing.DownloadClaim(
        file=target.id,
        owner=call.actor.job or call.user,
        duration_ms=duration_ms,
        expires_ms=_expiry(call.now_ms, duration_ms),
    )
    path = signing.download_path(call.platform.signing_key, claim)
    return {
        "url": f"{call.request.base_url}{path}/{quote(name, safe='')}",
        "headers": {},
        "expires": claim.expires_ms,
    }


def _require_in_project(target: DataObject, project: object) -> None:
    if project is not None and all(place.container != project for place, _ in target.places):
        raise errors.ResourceNotFound(f"{target.id} could not be found in {project}")


async def _require_download_allowed(call: Call, target: DataObject, project: str | None) -> None:
    """Raise PermissionDenied if the project, or each that holds the file, forbids downloads.

    Jobs may download, but not out of a restricted project that is not theirs.
    """
    if call.actor.job is not None:
        await _require_own_or_open(call, target)
        return
    containers = [project] if project else [place.container for place, _ in target.places]
    found = await projects.find_containers(call.reader, containers)
    if found and all(row.flags.get("downloadRestricted") for row in found):
        raise errors.PermissionDenied(f"{target.place.container} does not allow downloads")


async def _require_own_or_open(call: Call, target: DataObject) -> None:
    """Raise PermissionDenied if a restricted project keeps a file from the calling job."""
    containers = [place.container for place, _ in target.places]
    if any(container in call.actor.containers for container in containers):
        return
    job = await jobs.find_job(call.reader, str(call.actor.job))
    homes = restricted.Homes(call.reader, job.project if job else "")
    keeper = await homes.all_closed_by(containers)
    if keeper is not None:
        raise errors.PermissionDenied(restricted.told(target.id, keeper))


def _duration(body: dict[str, Any]) -> int:
    seconds = body.get("duration")
    if seconds is None:
        return DOWNLOAD_MS
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or seconds <= 0:
        raise errors.InvalidInput('Expected key "duration" of input to be a positive number')
    if seconds * 1000 > DOWNLOAD_MS_MAX:
        longest = DOWNLOAD_MS_MAX // 1000
        raise errors.InvalidInput(f'Expected key "duration" of input to be at most {longest}')
    return int(seconds * 1000)


def _expiry(now_ms: int, duration_ms: int) -> int:
    """Return a time at least the duration away that stays the same for a while (contract D.5.2)."""
    window_ms = min(WINDOW_MS, max(1000, duration_ms // 10))
    return (now_ms // window_ms + 1) * window_ms + duration_ms
