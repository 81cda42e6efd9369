"""The apps that come with the platform (contract I.7, E.5).

Those that `dx build_asset` and `dx build --remote` run.

They are apps like any other, published for all; only their ids follow from their names, and no
applet lies behind them. A job of one is a job like any other.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import msgspec
import structlog

from plasmid import __version__
from plasmid.domain import app_spec, ids
from plasmid.executions import app_containers
from plasmid.metadata import apps, objects, projects
from plasmid.metadata.database import Transaction
from plasmid.metadata.rows import AppNameRow, AppRow
from plasmid.methods import app_making
from plasmid.methods.call import REGIONS

_log: Final = structlog.get_logger()
APPS_FOLDER: Final = "/opt/plasmid/create-asset"
_BUILDER: Final = "create_asset.py"
# The program by which every job's dependencies are installed, and the folder of its parts.
_INSTALLER: Final = "install_dependencies.py"
_INSTALLER_PARTS: Final = "installers"
# Enough for package managers and compilers, and small enough for most machines.
_INSTANCE_TYPE: Final = "mem1_ssd1_v2_x2"
_REMOTE_BUILDER: Final = "remote_build.py"
_RELEASES: Final = {
    "precise": ("12.04", "0"),
    "trusty": ("14.04", "0"),
    "xenial": ("16.04", "0"),
    "xenial_v1": ("16.04", "1"),
    "focal": ("20.04", "0"),
    "noble": ("24.04", "0"),
}


class BuiltInApp(msgspec.Struct, frozen=True):
    """An app that comes with the platform, for one release of a distribution.

    It builds `what`: an asset, or from the archive of its folder an applet or an app.
    """

    name: str
    release: str
    release_version: str
    what: str = "asset"

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


# By their names without the release, which the client leaves out of that of the oldest.
REMOTE: Final = {
    f"tarball_{what}_builder{suffix}": BuiltInApp(
        f"tarball_{what}_builder{suffix}", release, version, what
    )
    for what in ("applet", "app")
    for name, (release, version) in _RELEASES.items()
    for suffix in ["" if name == "precise" else f"_{name}"]
}


EVERY: Final = {**CATALOGUE, **REMOTE}


async def seed(
    tx: Transaction, owner: str, now_ms: int, *, wanted: Mapping[str, BuiltInApp] = EVERY
) -> None:
    """Add the apps that are missing, and give those of an older release what they are now.

    One whose name a user's app has had since before it was kept is left out: theirs goes on.
    """
    for app in wanted.values():
        version = await apps.find_version(tx, app.id)
        if version is None and await apps.find_name(tx, app.name) is not None:
            _log.warning("built_in_app_left_out", name=app.name, why="a user's app has this name")
            continue
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
    is_asset = app.what == "asset"
    return {
        "dxapi": "1.0.0",
        "openSource": True,
        **(_of_assets(app) if is_asset else _of_remote(app)),
        "runSpec": {
            "interpreter": "bash",
            "distribution": "Ubuntu",
            "release": app.release,
            "version": app.release_version,
            "code": _code() if is_asset else _remote_code(app.what),
            "systemRequirements": {"*": {"instanceType": _INSTANCE_TYPE}},
        },
    }


def _of_assets(app: BuiltInApp) -> dict[str, Any]:
    return {
        "title": f"Asset builder for Ubuntu {app.release}",
        "summary": "Installs what a dxasset.json names and keeps all that changed as an asset.",
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


def _of_remote(app: BuiltInApp) -> dict[str, Any]:
    built: dict[str, Any] = {
        "title": f"Builder of {app.what}s for Ubuntu {app.release}",
        "summary": f"Builds an {app.what} from the archive of its folder (dx build --remote).",
        # A Makefile may fetch what it likes; what is bundled may lie in any project.
        "access": {"network": ["*"], "allProjects": "VIEW"},
        "inputSpec": [
            {"name": "input_file", "class": "file", "label": "Archive of the folder"},
            {"name": "build_options", "class": "hash", "optional": True},
        ],
        "outputSpec": [{"name": "output_applet", "class": "applet"}],
    }
    if app.what == "app":
        built["access"]["developer"] = True
        built["inputSpec"].append({"name": "publish", "class": "boolean", "optional": True})
        built["outputSpec"] = []
    return built


@functools.cache
def _code() -> str:
    """Return the code of all asset builders."""
    return _started(_programs(), _BUILDER)


@functools.cache
def _remote_code(what: str) -> str:
    """Return the code of all builders of applets, or of apps."""
    program = resources.files("plasmid").joinpath("runtime", _REMOTE_BUILDER)
    programs = {_REMOTE_BUILDER: program.read_text(encoding="utf-8")}
    return _started(programs, f"{_REMOTE_BUILDER} {what}")


def _started(programs: dict[str, str], start: str) -> str:
    """Return code that writes programs, given as text, and starts one of them."""
    lines = ["main() {", f"    mkdir -p {APPS_FOLDER}/{_INSTALLER_PARTS}"]
    for number, (path, text) in enumerate(programs.items()):
        end = f"END_OF_PROGRAM_{number}"
        lines += [f"    cat > {APPS_FOLDER}/{path} <<'{end}'", text.rstrip("\n"), end]
    command = f'"$(command -v python3 || command -v python2.7)" {APPS_FOLDER}/{start}'
    return "\n".join([*lines, f"    {command}", "}", ""])


def _programs() -> dict[str, str]:
    """Return the files that a builder's job needs: relative path to text."""
    folder = resources.files("plasmid").joinpath("runtime")
    parts = sorted(
        entry.name for entry in folder.joinpath(_INSTALLER_PARTS).iterdir() if entry.is_file()
    )
    names = [_BUILDER, _INSTALLER, *(f"{_INSTALLER_PARTS}/{name}" for name in parts)]
    return {name: folder.joinpath(*name.split("/")).read_text(encoding="utf-8") for name in names}
