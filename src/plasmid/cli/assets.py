"""`plasmid asset`: what a site has for the assets and ids that apps bring along."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.bootstrap import Keys
from plasmid.cli import applet_folder, asset_builds, asset_loading
from plasmid.cli.serve import SERVER_FILE, ServerFile
from plasmid.cli.trouble import CommandError
from plasmid.client.api import NO_RETRY, ApiClient, Unreachable
from plasmid.config import Config
from plasmid.domain import errors, folders, ids, properties, site_assets
from plasmid.domain.dxapp import DEFAULT_REGION
from plasmid.domain.site_assets import Asset, SiteProject, StandIn, Table
from plasmid.environments.site_assets import SiteAssets, SiteAssetsError, require_archive

ARCHIVES: Final = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
_NAMED: Final = ("file", "record", "applet", "project")


def running_server(data: Path) -> tuple[str, Keys] | None:
    """Return URL and tokens of the server that says it runs on a data folder, or None."""
    try:
        keys = msgspec.json.decode((data / "keys.json").read_bytes(), type=Keys)
        server = msgspec.json.decode((data / SERVER_FILE).read_bytes(), type=ServerFile)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise CommandError(
            f"{error.filename} may not be read: only the owner of the data folder may do this"
        ) from error
    return server.url, keys


class Place(msgspec.Struct, frozen=True):
    """Where an object is put: a project by id or name, made if it is not there, and a folder."""

    project: str = site_assets.DEFAULT_PROJECT
    folder: str = folders.ROOT
    region: str = DEFAULT_REGION


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of an asset; one of source and packages is there."""

    source: Path | None
    packages: asset_builds.Packages
    name: str
    version: str
    title: str
    release: str
    id: str | None


async def add(config: Config, given: Given, place: Place, data: Path) -> None:
    """Import an asset, and load it if the server runs; prints its id."""
    if (given.source is None) == given.packages.is_empty:
        raise CommandError("name an archive or a folder, or packages with --apt or --pip", 2)
    if given.id is not None and not ids.is_id(given.id, "record"):
        raise CommandError(f"--id {given.id}: an asset's id is record- and 24 letters or digits", 2)
    store = asset_loading.store_of(config)
    _require_new(asset_loading.read(store), given, place)
    with tempfile.TemporaryDirectory(dir=_made(config.home)) as scratch:
        archive = await _archive(config, given, Path(scratch))
        file_name = given.name.replace("/", "_") + _suffix(archive)
        try:
            with store.changing() as table:
                _require_new(table, given, place)
                content, size_bytes = store.keep(archive)
                asset = Asset(
                    id=given.id or _mint("record"),
                    file_id=_mint("file"),
                    project=_project(table, place),
                    folder=folders.normalise(place.folder),
                    name=properties.check_name(given.name),
                    file_name=file_name,
                    content=content,
                    size_bytes=size_bytes,
                    properties=_properties(given),
                )
                table.assets.append(asset)
                await _load(store, table, asset, data)
        except (SiteAssetsError, errors.ApiError, OSError) as error:
            raise CommandError(str(error)) from error
    print(asset.id)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mint(class_name: str) -> str:
    return ids.mint(class_name, secrets.token_bytes(15))


def _properties(given: Given) -> dict[str, str]:
    return {
        "version": given.version,
        "title": given.title or given.name,
        "description": "",
        "distribution": "Ubuntu",
        "release": given.release,
        "runSpecVersion": "0",
    }


def _require_new(table: Table, given: Given, place: Place) -> None:
    """Refuse an asset that is there already: a build could not tell them apart."""
    if not given.name or not given.version:
        raise CommandError("--name and --version must not be empty", 2)
    wanted = {"name": given.name, "version": given.version}
    try:
        there = table.entry(given.id) if given.id else None
        there = there or table.find({**wanted, "project": place.project, "folder": place.folder})
    except errors.InvalidInput as error:
        raise CommandError(error.message, 2) from error
    if there is not None:
        where = f"{there.project}:{there.folder}"
        raise CommandError(
            f"{there.id} is there already, in {where}; remove it first: plasmid asset unmap"
            f" {there.id}",
            2,
        )


async def _archive(config: Config, given: Given, scratch: Path) -> Path:
    """Return the asset's archive, made first if it is a folder or packages."""
    if given.source is None:
        return await asset_builds.build(
            config, given.packages, given.name, release=given.release, folder=scratch
        )
    if given.source.is_dir():
        made = scratch / "asset.tar"
        applet_folder.bundle(given.source, made)
        return made
    if not given.source.name.endswith(ARCHIVES):
        raise CommandError(f"{given.source}: an asset is a folder or {', '.join(ARCHIVES)}", 2)
    try:
        require_archive(given.source)
    except SiteAssetsError as error:
        raise CommandError(str(error), 2) from error
    return given.source


def _suffix(archive: Path) -> str:
    return next(suffix for suffix in ARCHIVES if archive.name.endswith(suffix))


def _project(table: Table, place: Place) -> str:
    """Return the id of a project of the table, added if it is not there."""
    found = table.project(place.project)
    if found is None:
        is_id = ids.is_id(place.project, "project")
        fresh = place.project if is_id else _mint("project")
        found = SiteProject(fresh, place.project, place.region)
        table.projects.append(found)
    return found.id


async def _load(
    store: SiteAssets, table: Table, entry: Asset | StandIn, data: Path, *, needed: bool = False
) -> None:
    """Load an entry into the server that runs, if one does."""
    server = running_server(data)
    try:
        if server is not None:
            async with ApiClient(server[0], server[1].operator_token, retry=NO_RETRY) as client:
                await asset_loading.load(client, store, table, entry)
            return
    except Unreachable as error:
        if needed:
            raise CommandError(f"{error}; start it: plasmid serve --data {data}") from error
        asset_builds.say(f"{error}: `plasmid serve` takes it up when it starts")
        return
    if needed:
        raise CommandError(f"no server runs on {data}; start it: plasmid serve --data {data}")
    asset_builds.say("No server runs: `plasmid serve` takes it up when it starts")


async def map_id(
    config: Config, vendor_id: str, local: str | None, place: Place, *, data: Path
) -> None:
    """Give an id of another platform a local object, a file of this machine, or a project."""
    if not ids.is_id(vendor_id, *_NAMED):
        wanted = ", ".join(f"{name}-" for name in _NAMED)
        raise CommandError(f"{vendor_id} is no id: {wanted} and 24 letters or digits", 2)
    store = asset_loading.store_of(config)
    try:
        with store.changing() as table:
            if table.entry(vendor_id) is not None or table.project(vendor_id) is not None:
                raise CommandError(
                    f"{vendor_id} is mapped already; first: plasmid asset unmap {vendor_id}", 2
                )
            if ids.is_id(vendor_id, "project"):
                project = SiteProject(vendor_id, vendor_id, place.region)
                await _map_project(table, project, local, data)
                return
            entry = _stand_in(store, table, vendor_id, local=local, place=place)
            table.stand_ins.append(entry)
            await _load(store, table, entry, data, needed=entry.local is not None)
    except (SiteAssetsError, errors.ApiError, OSError) as error:
        raise CommandError(str(error)) from error


def _stand_in(
    store: SiteAssets, table: Table, vendor_id: str, *, local: str | None, place: Place
) -> StandIn:
    class_name = str(ids.class_of(vendor_id))
    project = _project(table, place)
    folder = folders.normalise(place.folder)
    if local is not None and ids.is_id(local, class_name):
        return StandIn(id=vendor_id, project=project, folder=folder, local=local)
    path = Path(local or "")
    if class_name != "file" or not path.is_file():
        wanted = f"the id of a local {class_name}"
        wanted += " or a file of this machine" if class_name == "file" else ""
        remedy = f"; import an archive: plasmid asset import ARCHIVE --id {vendor_id}"
        raise CommandError(
            f"{local or 'nothing'} cannot stand in for {vendor_id}: name {wanted}"
            + (remedy if class_name == "record" else ""),
            2,
        )
    content, size_bytes = store.keep(path)
    return StandIn(
        id=vendor_id, project=project, folder=folder, name=path.name, content=content,
        size_bytes=size_bytes,
    )  # fmt: skip


async def _map_project(table: Table, project: SiteProject, local: str | None, data: Path) -> None:
    """Make the project, empty or with what a local project of the server holds now."""
    server = running_server(data)
    if local is not None and not ids.is_id(local, "project"):
        raise CommandError(f"{local} is no id of a local project", 2)
    if local is not None and server is None:
        raise CommandError(f"no server runs on {data}; start it: plasmid serve --data {data}")
    if server is not None:
        async with ApiClient(server[0], server[1].operator_token, retry=NO_RETRY) as client:
            try:
                if local is not None:
                    described = await client.call(f"/{local}/describe", {})
                    project = SiteProject(project.id, described["name"], described["region"])
                await client.call("/internal/project/adopt", msgspec.to_builtins(project))
                if local is not None:
                    into = {"project": project.id, "folders": ["/"], "destination": "/"}
                    await client.call(f"/{local}/clone", into)
            except Unreachable as error:
                if local is not None:
                    raise CommandError(f"{error}; start it: plasmid serve --data {data}") from error
    table.projects.append(project)


async def unmap(config: Config, entity_id: str, data: Path, *, everywhere: bool) -> None:
    """Take an asset, a stand-in or an emptied project out of the site, and out of its server."""
    store = asset_loading.store_of(config)
    server = running_server(data)
    if server is None and (data / "plasmid.sqlite").exists():
        raise CommandError(
            f"the database in {data} may hold {entity_id}; start its server first:"
            f" plasmid serve --data {data}"
        )
    try:
        with store.changing() as table:
            bodies = _removals(table, entity_id, everywhere=everywhere)
            if server is not None:
                async with ApiClient(server[0], server[1].operator_token) as client:
                    for route, body in bodies:
                        with contextlib.suppress(errors.ResourceNotFound):
                            await client.call(route, body)
    except (SiteAssetsError, errors.ApiError, Unreachable) as error:
        raise CommandError(str(error)) from error


def _removals(
    table: Table, entity_id: str, *, everywhere: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Take an entry out of the table; return the calls that take it out of a server."""
    entry, project = table.entry(entity_id), table.project(entity_id)
    if entry is None and project is None:
        if everywhere and ids.is_data_object(entity_id):  # what an earlier unmap has left
            return [("/internal/object/unmap", {"id": entity_id, "project": None})]
        raise CommandError(f"{entity_id} is not in the site's table; see: plasmid asset list", 2)
    if entry is None and project is not None:
        held = [it.id for it in table.entries() if it.project == project.id]
        if held:
            raise CommandError(f"{entity_id} holds {', '.join(held)}; unmap these first", 2)
        table.projects.remove(project)
        return [(f"/{project.id}/destroy", {"terminateJobs": False})]
    objects = [entity_id] if isinstance(entry, StandIn) else [entity_id, _file_of(entry)]
    if isinstance(entry, Asset):
        table.assets.remove(entry)
    elif entry is not None:
        table.stand_ins.remove(entry)
    where = None if everywhere or entry is None else entry.project
    return [("/internal/object/unmap", {"id": it, "project": where}) for it in objects]


def _file_of(entry: Asset | StandIn | None) -> str:
    return entry.file_id if isinstance(entry, Asset) else ""


def show(config: Config, *, as_json: bool) -> None:
    """Print the site's table: projects, then what lies in them."""
    table = asset_loading.read(asset_loading.store_of(config))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(table), indent=1).decode())
        return
    for project in table.projects:
        print(f"{project.id}  {project.name}  {project.region}")
        for asset in (it for it in table.assets if it.project == project.id):
            size = f"{asset.size_bytes} bytes"
            print(f"  {asset.id}  {asset.folder}  {asset.name} {asset.version}  {size}")
        for entry in (it for it in table.stand_ins if it.project == project.id):
            print(f"  {entry.id}  {entry.folder}  {entry.name or ''}  {entry.local or 'a file'}")
