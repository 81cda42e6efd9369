"""The forms in which projects and containers leave the API (contract C.2, C.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import instance_types, upload_limits
from plasmid.domain.access import Level
from plasmid.metadata import objects, projects, sizes
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import ContainerRow
from plasmid.methods.wire import fields

FLAGS: Final[dict[str, Any]] = {
    "protected": False,
    "restricted": False,
    "downloadRestricted": False,
    "previewViewerRestricted": False,
    "externalUploadRestricted": False,
    "containsPHI": False,
    "databaseUIViewOnly": False,
    "databaseResultsRestricted": None,
    "allowedExecutables": None,
}
ON_REQUEST: Final = (
    "properties", "permissions", "folders", "objects", "appCaches", "fileUploadParameters",
    "availableInstanceTypes",
)  # fmt: skip


async def describe(
    reader: Reader, row: ContainerRow, level: Level, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a project or container that the options ask for."""
    described = _project(row, level) if row.class_name == "project" else _container(row, level)
    wanted = fields.selected(options, described, ON_REQUEST)
    wanted.add("id")
    if "dataUsage" in wanted:
        usage_bytes = await sizes.stored_bytes(reader, row.id)
        described["dataUsage"] = round(usage_bytes / 2**30, 6)
    described = {name: value for name, value in described.items() if name in wanted}
    for name in wanted & set(ON_REQUEST):
        described[name] = await _requested(reader, row, name)
    return described


def _project(row: ContainerRow, level: Level) -> dict[str, Any]:
    return {
        "id": row.id,
        "class": "project",
        "name": row.name,
        "region": row.region,
        "summary": row.summary,
        "description": row.description,
        "version": row.version,
        "billTo": row.bill_to,
        **{name: row.flags.get(name, default) for name, default in FLAGS.items()},
        "created": row.created_ms,
        "modified": row.modified_ms,
        "createdBy": {"user": row.created_by},
        "level": level.name,
        "tags": row.tags,
        "dataUsage": 0.0,
        "sponsoredDataUsage": 0.0,
        "storageCost": 0.0,
        "totalSponsoredEgressBytes": 0,
        "consumedSponsoredEgressBytes": 0,
        "atSpendingLimit": False,
        "pendingTransfer": None,
        "defaultInstanceType": instance_types.DEFAULT,
    }


def _container(row: ContainerRow, level: Level) -> dict[str, Any]:
    return {
        "id": row.id,
        "class": "container",
        "name": row.name,
        "region": row.region,
        "billTo": row.bill_to,
        "type": "temporary",
        "created": row.created_ms,
        "modified": row.modified_ms,
        "level": level.name,
        "dataUsage": 0.0,
        "sponsoredDataUsage": 0.0,
        "remoteDataUsage": 0.0,
        "project": row.project,
    }


async def _requested(reader: Reader, row: ContainerRow, name: str) -> Any:
    if name == "properties":
        return row.properties
    if name == "permissions":
        members = await projects.find_members(reader, row.id)
        return {member: level.name for member, level in members.items()}
    if name == "folders":
        return ["/", *await projects.find_folders(reader, row.id)]
    if name == "objects":
        return len(await objects.find_ids_in(reader, row.id))
    if name == "appCaches":
        return {}
    if name == "fileUploadParameters":
        return upload_limits.parameters(upload_limits.for_region(row.region))
    return instance_types.described()
