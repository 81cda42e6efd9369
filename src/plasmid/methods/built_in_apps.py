"""The apps that come with the platform: those that `dx build_asset` runs (contract I.7, E.5).

They are apps like any other, published for all; only their ids follow from their names, and no
applet lies behind them. A job of one is a job like any other.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Any, Final

import msgspec

from plasmid import __version__
from plasmid.domain import app_spec, ids
from plasmid.executions import app_containers
from plasmid.metadata import apps, objects, projects
from plasmid.metadata.database import Transaction
from plasmid.metadata.rows import AppNameRow, AppRow
from plasmid.methods import app_making
from plasmid.methods.call import REGIONS

APPS_FOLDER: Final = "/opt/plasmid/create-asset"
_BUILDER: Final = "create_asset.py"
# The program by which every job's dependencies are installed, and the folder of its parts.
_INSTALLER: Final = "install_dependencies.py"
_INSTALLER_PARTS: Final = "installers"
# Enough for package managers and compilers, and small enough for most machines.
_INSTANCE_TYPE: Final = "mem1_ssd1_v2_x2"
_RELEASES: Final = {
    "precise": ("12.04", "0"),
    "trusty": ("14.04", "0"),
    "xenial": ("16.04", "0"),
    "xenial_v1": ("16.04", "1"),
    "focal": ("20.04", "0"),
    "noble": ("24.04", "0"),
}


class BuiltInApp(msgspec.Struct, frozen=True):
    """An app that comes with the platform, for one release of a distribution."""

    name: str
    release: str
    release_version: str

    @property
    def id(self) -> str:
        """The app's id, the same on every server."""
        return self.id_of("app")

    def id_of(self, class_name: str, *more: str) -> str:
        """Return the id of the app, or of something that belongs to it."""
        named = " ".join(("built-in", self.name, *more))
        return ids.mint(class_name, hashlib.sha256(named.encode()).digest())


CATALOGUE: Final = {
    f"create_asset_{name}": BuiltInApp(f"create_asset_{name}", release, version)
    for name, (release, version) in _RELEASES.items()
}


async def seed(tx: Transaction, owner: str, now_ms: int) -> None:
    """Add the apps that are missing, and give those of an older release what they are now."""
    for app in CATALOGUE.values():
        version = await apps.find_version(tx, app.id)
        if version is None:
            version = await _add(tx, app, owner, now_ms=now_ms)
        elif version.version != __version__:
            changes = {"version": __version__, "modified_ms": now_ms}
            await apps.update_version(tx, app.id, changes)
            await apps.remove_alias(tx, app.name, version.version)
            await apps.set_alias(tx, version, __version__)
        body = _body(app)
        row = await objects.find_object(tx, app.id)
        if row is None:
            await tx.add(app_making.object_of(version, body, {}))
        elif row.body != body:
            await objects.update_object(tx, app.id, {"body": body})


async def _add(tx: Transaction, app: BuiltInApp, owner: str, *, now_ms: int) -> AppRow:
    """Add an app that all may use, nobody changes, and that runs in every region."""
    row = AppRow(
        id=app.id,
        name=app.name,
        version=__version__,
        regional_options={
            # where an app comes from; the client shows it, and nobody can look it up
            region: {"applet": app.id_of("applet"), "resources": app.id_of("container", region)}
            for region in REGIONS
        },
        created_by=owner,
        created_ms=now_ms,
        modified_ms=now_ms,
        published_ms=now_ms,
        deleted_ms=None,
    )
    await tx.add(AppNameRow(app.name, owner, [], [projects.PUBLIC], []))
    await tx.add(row)
    for alias in (__version__, app_spec.DEFAULT):
        await apps.set_alias(tx, row, alias)
    for region, options in row.regional_options.items():
        container = app_containers.row_of(
            row,
            app_spec.RESOURCES,
            container_id=options["resources"],
            region=region,
            bill_to=owner,
            now_ms=now_ms,
        )
        await tx.add(container)
    return row


def _body(app: BuiltInApp) -> dict[str, Any]:
    return {
        "dxapi": "1.0.0",
        "openSource": True,
        "title": f"Asset builder for Ubuntu {app.release}",
        "summary": "Installs what a dxasset.json names and keeps all that changed as an asset.",
        "runSpec": {
            "interpreter": "bash",
            "distribution": "Ubuntu",
            "release": app.release,
            "version": app.release_version,
            "code": _code(),
            "systemRequirements": {"*": {"instanceType": _INSTANCE_TYPE}},
        },
        # Package managers need it, and a Makefile may fetch what it likes.
        "access": {"network": ["*"]},
        "inputSpec": [
            {"name": "conf_json", "class": "file", "label": "dxasset.json"},
            {
                "name": "custom_asset", "class": "file", "optional": True,
                "label": "Archive of files that are put at /",
            },
            {
                "name": "asset_makefile", "class": "file", "optional": True,
                "label": "Makefile that is run when everything is installed",
            },
        ],
        "outputSpec": [{"name": "asset_bundle", "class": "record", "type": "AssetBundle"}],
    }  # fmt: skip


@functools.cache
def _code() -> str:
    """Return the code of all builders: the programs as text, and how to start the first."""
    lines = ["main() {", f"    mkdir -p {APPS_FOLDER}/{_INSTALLER_PARTS}"]
    for number, (path, text) in enumerate(_programs().items()):
        end = f"END_OF_PROGRAM_{number}"
        lines += [f"    cat > {APPS_FOLDER}/{path} <<'{end}'", text.rstrip("\n"), end]
    start = f'"$(command -v python3 || command -v python2.7)" {APPS_FOLDER}/{_BUILDER}'
    return "\n".join([*lines, f"    {start}", "}", ""])


def _programs() -> dict[str, str]:
    """Return the files that a builder's job needs: relative path to text."""
    folder = resources.files("plasmid").joinpath("runtime")
    parts = sorted(
        entry.name for entry in folder.joinpath(_INSTALLER_PARTS).iterdir() if entry.is_file()
    )
    names = [_BUILDER, _INSTALLER, *(f"{_INSTALLER_PARTS}/{name}" for name in parts)]
    return {name: folder.joinpath(*name.split("/")).read_text(encoding="utf-8") for name in names}
