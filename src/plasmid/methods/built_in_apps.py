"""The apps that come with the platform: those that `dx build_asset` runs (contract I.7, E.5).

Each is a row among the objects that lies in no container; its id follows from its name. A job of it
is a job like any other.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Any, Final

import msgspec

from plasmid import __version__
from plasmid.domain import ids
from plasmid.metadata import objects
from plasmid.metadata.database import Transaction
from plasmid.metadata.rows import ObjectRow

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
        return ids.mint("app", hashlib.sha256(f"built-in {self.name}".encode()).digest())


CATALOGUE: Final = {
    f"create_asset_{name}": BuiltInApp(f"create_asset_{name}", release, version)
    for name, (release, version) in _RELEASES.items()
}
_BY_ID: Final = {app.id: app for app in CATALOGUE.values()}


def find(subject: str) -> BuiltInApp | None:
    """Return the app that `app-name`, `app-name/version` or an id names, or None."""
    named, _, version = subject.partition("/")
    known = _BY_ID.get(named) or CATALOGUE.get(named.removeprefix("app-"))
    return known if version in ("", "default", __version__) else None


async def seed(tx: Transaction, owner: str, now_ms: int) -> None:
    """Add the apps that are missing, and give those of an older release what they are now."""
    for app in CATALOGUE.values():
        body = _body(app)
        row = await objects.find_object(tx, app.id)
        if row is None:
            await tx.add(_row(app.id, body, owner, now_ms=now_ms))
        elif row.body != body:
            await objects.update_object(tx, app.id, {"body": body})


def _row(app_id: str, body: dict[str, Any], owner: str, *, now_ms: int) -> ObjectRow:
    return ObjectRow(
        id=app_id,
        class_name="app",
        state="closed",
        hidden=False,
        types=[],
        details={},
        links=[],
        created_ms=now_ms,
        created_by=owner,
        created_by_job=None,
        created_by_executable=None,
        media=None,
        size_bytes=None,
        body=body,
    )


def _body(app: BuiltInApp) -> dict[str, Any]:
    return {
        "dxapi": "1.0.0",
        "version": __version__,
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
