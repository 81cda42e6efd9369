"""`plasmid image`: base images."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.environments.images import ImageError, Images


def of(config: Config) -> Images:
    """Return the images of a configuration."""
    return Images(config.images_folder, config.images)


def show(config: Config) -> None:
    """Print the images that are here, the newest first."""
    for image in of(config).list():
        made = datetime.fromtimestamp(image.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        megabytes = image.size_bytes // 1_000_000
        print(f"{image.name}  {image.digest[:12]}  {megabytes} MB  made {made} UTC")


async def build(config: Config, name: str) -> None:
    """Build an image, saying on stderr what is done."""
    try:
        image = await of(config).build(name, _say)
    except ImageError as error:
        raise CommandError(f"{error}; `plasmid doctor` checks this machine") from error
    print(f"{image.name}  {image.digest}")


async def ensure(config: Config, distribution: str, release: str, version: str) -> None:
    """Build the image that serves a release unless it is here."""
    images = of(config)
    try:
        images.find(distribution, release, version)
    except ImageError:
        name = images.name_for(distribution, release, version)
        _say(f"The base image {name} is not here yet; it is built once")
        await build(config, name)


def remove(config: Config, digest: str) -> None:
    """Delete an image by its digest or the beginning of it."""
    images = of(config)
    found = [image for image in images.list() if image.digest.startswith(digest)]
    if len(found) != 1:
        raise CommandError(f"{len(found)} images begin with {digest}; see: plasmid image list")
    images.remove(found[0].digest)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
