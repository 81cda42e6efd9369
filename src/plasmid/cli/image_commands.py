"""`plasmid image`: its commands and their arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from plasmid import config

app = App(name="image", help="Base images: the root file systems of jobs.")


def _config() -> config.Config:
    return config.load(os.environ)


@app.command(name="list")
def image_list() -> None:
    """List the base images that are here."""
    from plasmid.cli import images

    images.show(_config())


@app.command(name="build")
def image_build(name: str = "debian-12") -> None:
    """Build a base image: from packages, or as [image_sources] prefers.

    Parameters
    ----------
    name:
        ubuntu-24.04, ubuntu-20.04, ubuntu-16.04, ubuntu-14.04, debian-12 or debian-11.
    """
    from plasmid.cli import images, processes

    processes.run(images.build(_config(), name))


@app.command(name="pull")
def image_pull(name: str, *, reference: str = "") -> None:
    """Make a base image from a registry's OCI image, and add what apps need.

    Programs of that image are run as root while it is furnished: pull what you trust.

    Parameters
    ----------
    name:
        What the image is called here.
    reference:
        The registry's image, like registry.example.org/ubuntu:24.04.
    """
    from plasmid.cli import images, processes

    processes.run(images.pull(_config(), name, reference))


@app.command(name="import")
def image_import(
    file: Path,
    *,
    name: Annotated[str, Parameter(name="--as")],
    distribution: str = "",
    release: str = "",
    as_is: bool = False,
) -> None:
    """Make a base image from a file: what `image export` wrote, an OCI or docker archive, a tar.

    What apps need is added where it is missing, which needs the network and runs programs of the
    image as root: import what you trust.

    Parameters
    ----------
    file:
        The file; it may be packed by gzip, xz, bzip2 or zstd.
    name:
        What the image is called here.
    distribution:
        Ubuntu or Debian, if the image does not say so itself.
    release:
        Its release, like 24.04.
    as_is:
        Add nothing: the image has bash, python3 and dx.
    """
    from plasmid.cli import images, processes
    from plasmid.environments.images import Imported

    wanted = Imported(name, distribution, release, origin=str(file), is_whole=as_is)
    processes.run(images.take(_config(), file, wanted))


@app.command(name="export")
def image_export(name: str, file: Path) -> None:
    """Write a base image to a .tar or .tar.gz file, for `image import` at another site."""
    from plasmid.cli import images

    images.export(_config(), name, file)


@app.command(name="rm")
def image_rm(digest: str) -> None:
    """Delete a base image by its name, or its digest or the beginning of that."""
    from plasmid.cli import images

    images.remove(_config(), digest)
