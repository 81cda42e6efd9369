"""The forms in which projects and containers leave the API (contract C.2, C.10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from plasmid.domain import instance_types, upload_limits
from plasmid.domain.access import Level
from plasmid.metadata import apps, objects, projects, sizes
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
DESTROY_PROTECTED: Final = "destroyProtected"
SETTABLE: Final = {**FLAGS, DESTROY_PROTECTED: False}


async def describe(
    reader: Reader, row: ContainerRow, level: Level, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a project or container that the options ask for."""
    described = _project(row, level) if row.class_name == "project" else _container(row, level)
    wanted = fields.selected(options, described, _REQUESTED)
    wanted.add("id")
    if "dataUsage" in wanted:
        usage_bytes = await sizes.stored_bytes(reader, row.id)
        described["dataUsage"] = round(usage_bytes / 2**30, 6)
    if row.app is not None and "appName" in wanted:
        version = await apps.find_version(reader, row.app)
        described["appName"] = version.name if version else None
    described = {name: value for name, value in described.items() if name in wanted}
    for name in wanted & set(_REQUESTED):
        described[name] = await _REQUESTED[name](reader, row)
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
        "pendingTransfer": row.flags.get("pendingTransfer"),
        "defaultInstanceType": instance_types.DEFAULT,
    }


def _container(row: ContainerRow, level: Level) -> dict[str, Any]:
    return {
        "id": row.id,
        "class": "container",
        "name": row.name,
        "region": row.region,
        "billTo": row.bill_to,
        "type": row.kind or "temporary",
        "created": row.created_ms,
        "modified": row.modified_ms,
        "level": level.name,
        "dataUsage": 0.0,
        "sponsoredDataUsage": 0.0,
        "remoteDataUsage": 0.0,
        "project": row.project,
        **({"app": row.app, "appName": None} if row.app else {}),
        **({"destroyAt": row.destroy_at_ms} if row.destroy_at_ms else {}),
    }


async def _properties(_: Reader, row: ContainerRow) -> dict[str, str]:
    return row.properties


async def _permissions(reader: Reader, row: ContainerRow) -> dict[str, str]:
    members = await projects.find_members(reader, row.id)
    return {member: level.name for member, level in members.items()}


async def _destroy_protected(_: Reader, row: ContainerRow) -> bool:
    return bool(row.flags.get(DESTROY_PROTECTED))


async def _folders(reader: Reader, row: ContainerRow) -> list[str]:
    return ["/", *await projects.find_folders(reader, row.id)]


async def _objects(reader: Reader, row: ContainerRow) -> int:
    return await objects.count_in(reader, row.id)


async def _app_caches(reader: Reader, row: ContainerRow) -> dict[str, Any]:
    found = await projects.find_containers_within(reader, row.id)
    return {cache.app: cache.id for cache in found if cache.app is not None}


async def _file_upload_parameters(_: Reader, row: ContainerRow) -> dict[str, Any]:
    return upload_limits.parameters(upload_limits.for_region(row.region))


async def _available_instance_types(_: Reader, __: ContainerRow) -> dict[str, Any]:
    return instance_types.described()


_REQUESTED: Final[dict[str, Callable[[Reader, ContainerRow], Awaitable[Any]]]] = {
    "properties": _properties,
    "permissions": _permissions,
    DESTROY_PROTECTED: _destroy_protected,
    "folders": _folders,
    "objects": _objects,
    "appCaches": _app_caches,
    "fileUploadParameters": _file_upload_parameters,
    "availableInstanceTypes": _available_instance_types,
}
