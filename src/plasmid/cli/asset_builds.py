"""Make an asset of packages: by the job of `dx build_asset`, on a platform of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli import images, run, throwaway
from plasmid.cli.trouble import CommandError
from plasmid.client import upload
from plasmid.client.api import ApiClient, Unreachable
from plasmid.config import Config
from plasmid.domain import errors, links
from plasmid.methods import built_in_apps

CONFIGURATION: Final = "dxasset.json"


class Packages(msgspec.Struct, frozen=True):
    """Packages by manager, each NAME, or NAME=VERSION (for pip NAME==VERSION)."""

    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether there are none."""
        return not (self.apt or self.pip)

    def exec_depends(self) -> list[dict[str, Any]]:
        """Return the packages as a dxasset.json has them."""
        found = []
        for manager, texts in (("apt", self.apt), ("pip", self.pip)):
            for text in texts:
                name, _, version = text.partition("==" if manager == "pip" else "=")
                entry = {"name": name, "package_manager": manager}
                found.append(entry | ({"version": version} if version else {}))
        return found


async def build(
    config: Config, packages: Packages, name: str, *, release: str, folder: Path
) -> Path:
    """Install packages on a release's base image and return the archive of what that changed.

    Raises CommandError if no builder is for the release, or its job fails.
    """
    known = {app.release: app for app in built_in_apps.CATALOGUE.values()}
    if release not in known:
        raise CommandError(f"--release {release}: there are {', '.join(sorted(known))}", 2)
    app = known[release]
    await images.ensure(config, "Ubuntu", release, app.release_version)
    conf = {"name": name, "release": release, "execDepends": packages.exec_depends()}
    path = folder / CONFIGURATION
    path.write_bytes(msgspec.json.encode(conf))
    target = folder / "asset.tar.gz"
    async with (
        throwaway.platform(config) as running,
        ApiClient(running.url, running.keys.user_token) as client,
    ):
        try:
            project = str((await client.call("/project/new", {"name": name}))["id"])
            given = await upload.upload(
                client, path, project=project, folder="/", name=CONFIGURATION
            )
            asked = {"project": project, "input": {"conf_json": links.link(given)}}
            job = str((await client.call(f"/app-{app.name}/run", asked))["id"])
            await run.follow(running, client, job)
            described = await client.call(f"/{job}/describe", {})
            if described["state"] != "done":
                why = described.get("failureMessage") or f"the job is {described['state']}"
                raise CommandError(f"the packages cannot be made an asset: {why}")
            await _fetch(client, described["output"], target, token=running.keys.user_token)
        except (errors.ApiError, Unreachable) as error:
            raise CommandError(f"the packages cannot be made an asset: {error}") from error
    return target


async def _fetch(client: ApiClient, output: Any, target: Path, *, token: str) -> None:
    record = links.linked_id(output["asset_bundle"])
    details = await client.call(f"/{record}/getDetails", {})
    archive = links.linked_id(details["archiveFileId"])
    await client.download(str(archive), target, token=token)


def say(line: str) -> None:
    """Tell what is going on, beside the command's own output."""
    print(line, file=sys.stderr, flush=True)
