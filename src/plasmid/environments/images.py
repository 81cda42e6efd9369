"""Base images: the root file systems that sandboxes lie over, kept by digest.

`<folder>/<digest>/root` is one (ids shifted by 300000, see shifted_ids.py), `image.json` beside it
says what it is. A folder that is there is whole: it is built under another name and renamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from plasmid.environments import builder, recipes

DEFAULT_TABLE: Final[Mapping[str, str]] = {"*": "debian-12"}
"""As shipped, Debian 12 stands in for every release."""

_BUILD_PREFIX: Final = ".build-"

Progress = Callable[[str], None]


class ImageError(Exception):
    """An image is not there or cannot be made; the message names the remedy."""


class Image(msgspec.Struct, frozen=True):
    """What image.json says. `seconds` is how long each step of its building took."""

    name: str
    digest: str
    recipe: str
    distribution: str
    release: str
    created_ms: int
    size_bytes: int
    apt_hosts: tuple[str, ...]
    packages: tuple[str, ...]
    seconds: dict[str, float]


class FoundImage(msgspec.Struct, frozen=True):
    """The image that serves a release; `stand_in` says that it is another one."""

    name: str
    digest: str
    root: Path
    stand_in: bool
    apt_hosts: tuple[str, ...] = ()


class Images:
    """The images in a folder and the table that says which serves which release.

    A key of `table` is `Distribution Release Version`, `Distribution Release`, `Distribution` or
    `*`, the nearest is taken; its value names a recipe.
    """

    def __init__(self, folder: Path, table: Mapping[str, str] = DEFAULT_TABLE) -> None:
        self._folder = folder
        self._table = dict(table)

    def find(self, distribution: str, release: str, version: str) -> FoundImage:
        """Return the newest image for a release; raises ImageError that names the remedy."""
        name = self.name_for(distribution, release, version)
        image = self._newest(name)
        if image is None:
            raise ImageError(
                f"there is no image {name} (for {distribution} {release}) in {self._folder}: "
                f"make it with `plasmid image build {name}`"
            )
        return FoundImage(
            name=name,
            digest=image.digest,
            root=self._folder / image.digest / "root",
            stand_in=(image.distribution, image.release) != (distribution, release),
            apt_hosts=image.apt_hosts,
        )

    def name_for(self, distribution: str, release: str, version: str) -> str:
        """Return the name of the image that serves a release; raises ImageError if none does."""
        long = f"{distribution} {release}"
        for key in (f"{long} {version}", long, distribution, "*"):
            if key in self._table:
                return self._table[key]
        raise ImageError(
            f'no image serves {long}: name one in [images], like "{long}" = "debian-12"'
        )

    def _newest(self, name: str) -> Image | None:
        return next((image for image in self.list() if image.name == name), None)

    def list(self) -> list[Image]:
        """Return every whole image, the newest first."""
        found = []
        for file in self._folder.glob("*/image.json"):
            with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
                if not file.parent.name.startswith("."):
                    found.append(msgspec.json.decode(file.read_bytes(), type=Image))
        return sorted(found, key=lambda image: image.created_ms, reverse=True)

    def is_current(self, name: str) -> bool:
        """Say whether there is an image made by today's recipe of that name."""
        image = self._newest(name)
        return image is not None and image.recipe == recipes.digest(_recipe(name), {}, [])

    def remove(self, digest: str) -> None:
        """Delete an image; raises ImageError if there is none. No sandbox may be using it."""
        path = self._folder / digest
        if not (path / "image.json").exists():
            raise ImageError(f"there is no image {digest} in {self._folder}")
        doomed = self._folder / f"{_BUILD_PREFIX}removed-{digest}"
        path.rename(doomed)
        builder.delete_tree(doomed)

    async def build(self, name: str, progress: Progress) -> Image:
        """Make an image anew; one at a time on this machine, who waits takes what the other made.

        `progress` gets a line for every step. Raises ImageError; a half made image is deleted, by
        the next build if this process is killed.
        """
        recipe = _recipe(name)
        started_ms = time.time_ns() // 1_000_000
        async with self._locked(progress):
            made = self._newest(name)
            if made is not None and made.created_ms >= started_ms and self.is_current(name):
                return made
            return await self._build(recipe, progress)

    async def _build(self, recipe: recipes.Recipe, progress: Progress) -> Image:
        scratch = self._folder / f"{_BUILD_PREFIX}{os.getpid()}"
        scratch.mkdir(mode=0o700)
        try:
            built = await builder.build(recipe, scratch, progress)
            return await asyncio.to_thread(self._keep, recipe, built, scratch)
        except builder.BuildError as error:
            raise ImageError(f"image {recipe.name} could not be made: {error}") from error
        finally:
            await asyncio.to_thread(builder.delete_tree, scratch)

    def _keep(self, recipe: recipes.Recipe, built: builder.Built, scratch: Path) -> Image:
        """Put a built root at its place; one of the same digest that is there already stays."""
        digest = recipes.digest(recipe, built.files, built.packages)
        image = Image(
            name=recipe.name,
            digest=digest,
            recipe=recipes.digest(recipe, {}, []),
            distribution=recipe.distribution,
            release=recipe.release,
            created_ms=time.time_ns() // 1_000_000,
            size_bytes=built.size_bytes,
            apt_hosts=built.apt_hosts,
            packages=built.packages,
            seconds=built.seconds,
        )
        whole = scratch / "image"
        whole.mkdir(mode=0o700)
        (scratch / "root").rename(whole / "root")
        (whole / "image.json").write_bytes(msgspec.json.format(msgspec.json.encode(image)))
        target = self._folder / digest
        if target.exists():
            # Sandboxes may be using that root; only what is said about it is new.
            (whole / "image.json").replace(target / "image.json")
        else:
            whole.rename(target)
        return image

    @contextlib.asynccontextmanager
    async def _locked(self, progress: Progress) -> AsyncIterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("another process is building an image; waiting for it")
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            for left_over in self._folder.glob(f"{_BUILD_PREFIX}*"):
                progress(f"deleting {left_over.name}, which was never finished")
                await asyncio.to_thread(builder.delete_tree, left_over)
            yield


def _recipe(name: str) -> recipes.Recipe:
    if name not in recipes.RECIPES:
        known = ", ".join(sorted(recipes.RECIPES))
        raise ImageError(f"there is no recipe for an image {name!r}; there is {known}")
    return recipes.RECIPES[name]
