"""What the commands of `plasmid image` do with base images."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.environments import exporting, host, recipes
from plasmid.environments.images import Image, ImageError, Images, Imported


def of(config: Config) -> Images:
    """Return the images of a configuration."""
    given = config.image_sources
    mirrors = host.Mirrors(given.prefer, given.apt, given.oci, given.keyring)
    return Images(config.images_folder, config.images, mirrors=mirrors)


def show(config: Config) -> None:
    """Print the images that are here, the newest first, then those that could be made."""
    here = of(config).list()
    for image in here:
        made = datetime.fromtimestamp(image.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        megabytes = image.size_bytes // 1_000_000
        print(f"{image.name}  {image.digest[:12]}  {megabytes} MB  made {made} UTC")
    names = {image.name for image in here}
    if missing := [name for name in recipes.RECIPES if name not in names]:
        _say(f"not here: {', '.join(missing)}; `plasmid image build NAME` makes one")


async def build(config: Config, name: str) -> None:
    """Build an image, saying on stderr what is done."""
    try:
        image = await of(config).build(name, _say)
    except ImageError as error:
        raise CommandError(f"{error}; `plasmid doctor` checks this machine") from error
    _tell(image)


async def pull(config: Config, name: str, reference: str) -> None:
    """Make an image from a registry's."""
    try:
        image = await of(config).pull(name, _say, reference=reference)
    except ImageError as error:
        raise CommandError(str(error)) from error
    _tell(image)


async def take(config: Config, file: Path, wanted: Imported) -> None:
    """Make an image from a file."""
    try:
        image = await of(config).take(file.absolute(), wanted, _say)
    except ImageError as error:
        raise CommandError(str(error)) from error
    _tell(image)


def export(config: Config, name: str, file: Path) -> None:
    """Write the newest image of a name to a file."""
    found = next((image for image in of(config).list() if image.name == name), None)
    if found is None:
        raise CommandError(f"there is no image {name}; see: plasmid image list")
    try:
        exporting.write(config.images_folder / found.digest / "root", file.absolute())
    except OSError as error:
        raise CommandError(f"{error.filename or file}: {error.strerror}") from error
    print(file)


async def ensure(config: Config, distribution: str, release: str, version: str) -> None:
    """Build the image that serves a release unless it is here."""
    images = of(config)
    try:
        name = images.name_for(distribution, release, version)
    except ImageError as error:
        raise CommandError(str(error)) from error
    if not any(image.name == name for image in images.list()):
        _say(f"The base image {name} is not here yet; it is built once")
        try:
            await build(config, name)
        except CommandError as error:
            remedy = f'[images] "{distribution} {release}" = "debian-12"'
            raise CommandError(f"{error}; another stands in by {remedy} in plasmid.toml") from error


def remove(config: Config, digest: str) -> None:
    """Delete an image by its digest or the beginning of it, or by its name."""
    images = of(config)
    found = [
        image for image in images.list() if image.digest.startswith(digest) or image.name == digest
    ]
    if len(found) != 1:
        raise CommandError(f"{len(found)} images are called {digest}; see: plasmid image list")
    images.remove(found[0].digest)


def _tell(image: Image) -> None:
    print(f"{image.name}  {image.digest}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
