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

from plasmid.environments import builder, furnishing, host, importing, recipes

_VERSIONS: Final[Mapping[str, tuple[str, ...]]] = {"Ubuntu 16.04": ("0", "1")}
"""The versions of a release that the platform has; of all others there is but version 0."""

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


class Imported(msgspec.Struct, frozen=True):
    """What an image from elsewhere is to be called, and the release that it is (else as it says).

    `is_whole` takes it as it is: nothing is added, and none of its programs are run.
    """

    name: str
    distribution: str = ""
    release: str = ""
    origin: str = ""
    is_whole: bool = False


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
    `*`, the nearest is taken; its value names an image, or is the digest of one. A release that no
    key covers is served by the image of its own.
    """

    def __init__(
        self,
        folder: Path,
        table: Mapping[str, str] | None = None,
        *,
        mirrors: host.Mirrors | None = None,
    ) -> None:
        self._folder = folder
        self._mirrors = mirrors or host.Mirrors()
        self._table = dict(table or {})

    def find(self, distribution: str, release: str, version: str) -> FoundImage:
        """Return the newest image for a release; raises ImageError that names the remedy."""
        name = self.name_for(distribution, release, version)
        image = self._newest(name)
        if image is None:
            raise ImageError(self._missing(name, f"{distribution} {release}"))
        return FoundImage(
            name=image.name,
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
        for recipe in recipes.RECIPES.values():
            if recipe.title == long:
                _check_version(long, version)
                return recipe.name
        known = ", ".join(recipe.title for recipe in recipes.RECIPES.values())
        raise ImageError(
            f"there is no base image for {long} (runSpec.release): there are those for {known}. "
            f"{_stand_in(long)}"
        )

    def _missing(self, name: str, release: str) -> str:
        """Return what is said of an image that is not here: every remedy, on one line."""
        made = f"`plasmid image build {name}` makes it, " if name in recipes.RECIPES else ""
        return (
            f"there is no image {name} (for {release}) in {self._folder}: {made}"
            f"`plasmid image import FILE --as {name}` takes it from a file. {_stand_in(release)}"
        )

    def _newest(self, name: str) -> Image | None:
        return next((image for image in self.list() if name in (image.name, image.digest)), None)

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
        return image is not None and image.recipe == _mark(_recipe(name))

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
        if self._mirrors.prefer == "oci":
            return await self.pull(name, progress)
        started_ms = time.time_ns() // 1_000_000
        async with self._locked(progress) as has_waited:
            made = self._newest(name) if has_waited else None
            if made is not None and made.created_ms >= started_ms and self.is_current(name):
                return made
            async with self._scratch(name) as scratch:
                built = await builder.build(recipe, scratch, progress, mirrors=self._mirrors)
                return await asyncio.to_thread(self._keep, recipe, built, scratch)

    async def can_build(self, name: str, *, seconds: float) -> bool:
        """Say whether the archives that an image is made from answer within that time."""
        return await builder.answers(_recipe(name), self._mirrors, seconds=seconds)

    async def pull(self, name: str, progress: Progress, *, reference: str = "") -> Image:
        """Make an image from a registry's, by its reference or that of the image's recipe.

        What apps need is added from the packages of its release. Raises ImageError.
        """
        recipe = recipes.RECIPES.get(name)
        named = reference or self._mirrors.oci.get(name, recipe.reference if recipe else "")
        if not named:
            raise ImageError(f"nothing says which image {name} is pulled from: give --reference")
        async with self._locked(progress), self._scratch(name) as scratch:
            file = scratch / "pulled.tar"
            progress(f"pulling {named}")
            await importing.fetch(named, file)
            return await self._take(file, Imported(name, origin=named), scratch, progress=progress)

    async def take(self, file: Path, wanted: Imported, progress: Progress) -> Image:
        """Make an image from a file: an OCI or docker archive, or a tar file of a root file system.

        What apps need is added from the packages of its release, unless it is there. Raises
        ImageError; the file is left alone.
        """
        if not file.is_file():
            raise ImageError(f"there is no file {file}")
        async with self._locked(progress), self._scratch(wanted.name) as scratch:
            return await self._take(file, wanted, scratch, progress=progress)

    async def _take(
        self, file: Path, wanted: Imported, scratch: Path, *, progress: Progress
    ) -> Image:
        progress("unpacking")
        root = scratch / "root"
        found = await importing.unpack(file, root)
        recipe = _recipe_for(wanted, found)
        if not wanted.is_whole and not (found.packages and found.has_client):
            base = scratch / "base.tar"
            await importing.repack(root, base)
            built = await builder.build(recipe, scratch, progress, mirrors=self._mirrors, base=base)
            content = msgspec.structs.replace(built, packages=(*built.packages, found.digest))
            return await asyncio.to_thread(self._keep, recipe, content, scratch)
        progress("shifting ids")
        built = await asyncio.to_thread(builder.finish, root, found.packages or (found.digest,))
        taken = msgspec.structs.replace(built, apt_hosts=found.apt_hosts)
        return await asyncio.to_thread(self._keep, recipe, taken, scratch)

    @contextlib.asynccontextmanager
    async def _scratch(self, name: str) -> AsyncIterator[Path]:
        """Give a folder to make an image in, deleted in any case; failures become ImageError."""
        scratch = self._folder / f"{_BUILD_PREFIX}{os.getpid()}"
        try:
            scratch.mkdir(mode=0o700)
            yield scratch
        except builder.BuildError as error:
            raise ImageError(f"image {name} could not be made: {error}") from error
        except OSError as error:
            why = f"{error.filename or self._folder}: {error.strerror}"
            raise ImageError(f"image {name} could not be made: {why}") from error
        finally:
            await asyncio.to_thread(builder.delete_tree, scratch)

    def _keep(self, recipe: recipes.Recipe, built: builder.Built, scratch: Path) -> Image:
        """Put a built root at its place; one of the same digest that is there already stays."""
        digest = recipes.digest(recipe, _mark(recipe), built.files, built.packages)
        image = Image(
            name=recipe.name,
            digest=digest,
            recipe=_mark(recipe),
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
    async def _locked(self, progress: Progress) -> AsyncIterator[bool]:
        """Hold the folder's lock; gives whether another process had it."""
        has_waited = False
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                has_waited = True
                progress("another process is building an image; waiting for it")
                await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            for left_over in self._folder.glob(f"{_BUILD_PREFIX}*"):
                progress(f"deleting {left_over.name}, which was never finished")
                await asyncio.to_thread(builder.delete_tree, left_over)
            yield has_waited


def _check_version(release: str, version: str) -> None:
    known = _VERSIONS.get(release, ("0",))
    if version not in known:
        raise ImageError(
            f"{release} has no version {version} (runSpec.version): it has {', '.join(known)}. "
            f"{_stand_in(f'{release} {version}')}"
        )


def _stand_in(release: str) -> str:
    """Return how another image is made to serve a release."""
    return f'Another stands in by [images] in plasmid.toml: "{release}" = "debian-12"'


def _mark(recipe: recipes.Recipe) -> str:
    """Return what tells a recipe from all others, also from itself before a change."""
    return recipes.digest(recipe, furnishing.script(recipe))


def _recipe_for(wanted: Imported, found: importing.Unpacked) -> recipes.Recipe:
    """Return the recipe of what was unpacked, under the name that it is to have."""
    distribution = wanted.distribution or found.distribution
    release = wanted.release or found.release
    if not distribution or not release:
        raise ImageError(
            "it has no /etc/os-release that says what it is: give --distribution and --release"
        )
    known = {recipe.title: recipe for recipe in recipes.RECIPES.values()}
    recipe = known.get(f"{found.distribution} {found.release}")
    if recipe is None and not wanted.is_whole and not found.has_client:
        raise ImageError(
            f"what {distribution} {release} lacks is not known (known are {', '.join(known)}): "
            "import an image that has dx and what apps need, with --as-is"
        )
    template = recipe or next(iter(known.values()))
    return msgspec.structs.replace(
        template, name=wanted.name, distribution=distribution, release=release
    )


def _recipe(name: str) -> recipes.Recipe:
    if name not in recipes.RECIPES:
        known = ", ".join(sorted(recipes.RECIPES))
        raise ImageError(f"there is no recipe for an image {name!r}; there is {known}")
    return recipes.RECIPES[name]
