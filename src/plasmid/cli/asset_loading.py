"""Put the site's assets on a platform: a server that runs, one that starts, one for a single run.

All of it goes through the platform's own routes with the operator's token, and may be repeated:
what is there already stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from plasmid.cli.applet_folder import AppletFolder
from plasmid.cli.trouble import CommandError
from plasmid.client import upload
from plasmid.client.api import ApiClient, Unreachable
from plasmid.config import Config
from plasmid.domain import errors, links, site_assets
from plasmid.domain.site_assets import Asset, SiteProject, StandIn, Table
from plasmid.environments.site_assets import SiteAssets, SiteAssetsError


def store_of(config: Config) -> SiteAssets:
    """Return the site's assets."""
    return SiteAssets(config.home / "assets")


def read(store: SiteAssets) -> Table:
    """Return the site's table; raises CommandError if it cannot be read."""
    try:
        return store.table()
    except SiteAssetsError as error:
        raise CommandError(str(error)) from error


async def load(
    client: ApiClient, store: SiteAssets, table: Table, entry: SiteProject | Asset | StandIn
) -> None:
    """Make an entry's objects on a platform; raises ApiError, Unreachable, SiteAssetsError."""
    project = entry if isinstance(entry, SiteProject) else table.project(entry.project)
    if project is not None:
        await client.call("/internal/project/adopt", msgspec.to_builtins(project))
    if isinstance(entry, SiteProject):
        return
    if isinstance(entry, Asset):
        await _load_asset(client, store, entry)
    elif entry.local is not None:
        twin = {"id": entry.id, "of": entry.local, "project": entry.project, "name": entry.name}
        await client.call("/internal/object/twin", {**twin, "folder": entry.folder})
    elif entry.content is not None:
        placed = {"id": entry.id, "project": entry.project, "name": entry.name}
        await _file(client, store.content(entry.content), {**placed, "folder": entry.folder})


async def _load_asset(client: ApiClient, store: SiteAssets, asset: Asset) -> None:
    placed = {"project": asset.project, "folder": asset.folder}
    archive = {
        "id": asset.file_id,
        "name": asset.file_name,
        "hidden": True,
        "properties": {site_assets.RECORD_TYPE: asset.id},
        **placed,
    }
    await _file(client, store.content(asset.content), archive)
    record = {
        "id": asset.id,
        "name": asset.name,
        "types": [site_assets.RECORD_TYPE],
        "details": {"archiveFileId": links.link(asset.file_id)},
        "properties": asset.properties,
        **placed,
    }
    await client.call("/internal/object/adopt", record)


async def _file(client: ApiClient, content: Path, described: dict[str, Any]) -> None:
    adopted = await client.call("/internal/object/adopt", described)
    if adopted["state"] == "open":
        await upload.fill(client, described["id"], content)


async def load_all(config: Config, url: str, token: str) -> None:
    """Load whatever the site has; what cannot be loaded is said, and hinders nothing else."""
    store = store_of(config)
    table = read(store)
    async with ApiClient(url, token) as client:
        for entry in [*table.projects, *table.entries()]:
            try:
                await load(client, store, table, entry)
            except (errors.ApiError, Unreachable, SiteAssetsError, OSError) as error:
                print(f"plasmid: {entry.id} cannot be loaded: {error}", file=sys.stderr, flush=True)


async def load_for(
    client: ApiClient, store: SiteAssets, applet: AppletFolder
) -> list[dict[str, Any]]:
    """Load what an applet folder names; return the bundledDepends of its assets.

    Raises CommandError for an asset that is not here, naming it and the remedy.
    """
    table = read(store)
    bundles = []
    try:
        for wanted in applet.asset_depends:
            asset = table.find(wanted)
            if asset is None:
                raise CommandError(site_assets.missing(wanted), 2)
            await load(client, store, table, asset)
            bundle = {"name": asset.file_name, "id": links.link(asset.file_id)}
            stages = wanted.get("stages")
            bundles.append(bundle | ({"stages": stages} if stages else {}))
        for entry in _named(table, links.object_ids(applet.body)):
            await load(client, store, table, entry)
    except (errors.InvalidInput, SiteAssetsError) as error:
        raise CommandError(str(error), 2) from error
    return bundles


def _named(table: Table, object_ids: Iterable[str]) -> list[Asset | StandIn]:
    """Return the entries of those of the ids that the site has here, without a server."""
    found = (table.entry(object_id) for object_id in object_ids)
    return [
        entry
        for entry in found
        if entry is not None and (isinstance(entry, Asset) or entry.content is not None)
    ]
