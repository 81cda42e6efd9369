"""What a site has for the assets and ids that apps name (contract I.7): its table.

An asset is an archive rooted at `/`, known by a record's id and by name, version, project and
folder. A stand-in is any other object under an id of another platform. Both lie in projects of the
table, so an app's own words (`assetDepends`, links in defaults) find them unchanged.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import errors, folders, ids, links

DEFAULT_PROJECT: Final = "assets"
RECORD_TYPE: Final = "AssetBundle"


class SiteProject(msgspec.Struct, frozen=True):
    """A project of the site: everybody may read it."""

    id: str
    name: str
    region: str


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """An archive and what its record says of it; `content` names its bytes in the site's folder."""

    id: str
    file_id: str
    project: str
    folder: str
    name: str
    file_name: str
    content: str
    size_bytes: int
    properties: dict[str, str]

    @property
    def version(self) -> str:
        """The asset's version."""
        return self.properties.get("version", "")


class StandIn(msgspec.Struct, frozen=True, kw_only=True):
    """An object under another platform's id: a file of the site's folder, or a twin of `local`."""

    id: str
    project: str
    folder: str
    name: str | None = None
    content: str | None = None
    size_bytes: int | None = None
    local: str | None = None


class Table(msgspec.Struct):
    """All that a site has."""

    projects: list[SiteProject] = []
    assets: list[Asset] = []
    stand_ins: list[StandIn] = []

    def project(self, wanted: str) -> SiteProject | None:
        """Return the project of an id or a name, or None."""
        return next((it for it in self.projects if wanted in (it.id, it.name)), None)

    def entry(self, entity_id: str) -> Asset | StandIn | None:
        """Return what an id stands for, or None."""
        return next((it for it in self.entries() if it.id == entity_id), None)

    def entries(self) -> list[Asset | StandIn]:
        """Return all that lies in the projects."""
        return [*self.assets, *self.stand_ins]

    def find(self, wanted: Mapping[str, Any]) -> Asset | None:
        """Return the asset that an entry of assetDepends names, by either of its forms, or None.

        Raises InvalidInput for an entry of no form.
        """
        record = record_of(wanted)
        if record is not None:
            mapped = {it.id: it.local for it in self.stand_ins if it.local is not None}
            record = mapped.get(record, record)
            return next((asset for asset in self.assets if asset.id == record), None)
        name, project, version = (wanted.get(key) for key in ("name", "project", "version"))
        if not (isinstance(name, str) and isinstance(project, str) and isinstance(version, str)):
            message = f"{msgspec.json.encode(wanted).decode()} of runSpec.assetDepends must have"
            raise errors.InvalidInput(f'{message} "id", or "name", "project" and "version"')
        place = self.project(project)
        folder = folders.normalise(wanted.get("folder") or "/", "folder", "runSpec.assetDepends")
        return next(
            (
                asset
                for asset in self.assets
                if place is not None
                and (asset.project, asset.folder) == (place.id, folder)
                and (asset.name, asset.version) == (name, version)
            ),
            None,
        )


def record_of(wanted: Mapping[str, Any]) -> str | None:
    """Return the record that an entry of assetDepends names by its id, in any form, or None."""
    target = wanted.get("id")
    if isinstance(target, Mapping):
        target = links.linked_id(dict(target)) or target.get("id")
    return str(target) if ids.is_id(target, "record") else None


def missing(wanted: Mapping[str, Any]) -> str:
    """Return what to say of an asset that a site lacks: which, and the remedy."""
    record = record_of(wanted)
    if record is not None:
        remedy = f"plasmid asset import ARCHIVE --name NAME --version VERSION --id {record}"
        return f"runSpec.assetDepends names {record}, which is not here; give it: {remedy}"
    name, version, project = (str(wanted.get(key)) for key in ("name", "version", "project"))
    folder = str(wanted.get("folder") or "/")
    quoted = [shlex.quote(text) for text in (name, version, project, folder)]
    remedy = "plasmid asset import ARCHIVE --name {} --version {}".format(*quoted)
    where = "--project {2} --folder {3}".format(*quoted)
    said = f'runSpec.assetDepends names the asset "{name}" {version} of {project}:{folder}'
    return f"{said}, which is not here; give it: {remedy} {where}"
