"""Base images in their folder; a stand-in builds them."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from plasmid.environments import builder, host, images, recipes
from tests import image_files, stand_in
from tests.image_files import SYSTEM
from tests.small_disk import small_disk

Progress = Callable[[str], None]


class Builds:
    """Plays the builder: makes a root with one file, or fails."""

    def __init__(self) -> None:
        self.count = 0
        self.version = 1
        self.error: str | None = None
        self.scratches: list[Path] = []

    async def __call__(
        self,
        recipe: recipes.Recipe,
        scratch: Path,
        progress: Progress,
        *,
        mirrors: host.Mirrors,
        base: Path | None = None,
    ) -> object:
        self.count += 1
        self.scratches.append(scratch)
        (scratch / "root").mkdir()
        (scratch / "root" / "file").write_text(recipe.name)
        progress("building")
        if self.error is not None:
            raise builder.BuildError(self.error)
        return builder.Built(
            files={},
            packages=(f"package {self.version}",),
            apt_hosts=("mirror.test",),
            size_bytes=1,
            seconds={"building": 0.1},
        )


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    made = Builds()
    monkeypatch.setattr(builder, "build", made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> images.Images:
    return images.Images(tmp_path / "images", stand_in.TABLE)


def ignore(_: str) -> None:
    """Take a line of progress."""


async def test_a_built_image_is_found_and_stands_in(store: images.Images, builds: Builds) -> None:
    told: list[str] = []
    built = await store.build("debian-12", told.append)
    found = store.find("Ubuntu", "20.04", "0")
    assert (found.name, found.digest, found.stand_in) == ("debian-12", built.digest, True)
    assert (found.root / "file").read_text() == "debian-12"
    assert found.apt_hosts == ("mirror.test",)
    assert not store.find("Debian", "12", "0").stand_in
    assert told == ["building"]
    assert builds.count == 1


def test_a_missing_image_names_the_remedy(store: images.Images) -> None:
    with pytest.raises(images.ImageError, match="plasmid image build debian-12"):
        store.find("Ubuntu", "24.04", "0")


def test_the_nearest_row_of_the_table_is_taken(tmp_path: Path) -> None:
    table = {"Ubuntu 20.04 1": "a", "Ubuntu 20.04": "b", "Ubuntu": "c", "*": "d"}
    store = images.Images(tmp_path, table)
    assert store.name_for("Ubuntu", "20.04", "1") == "a"
    assert store.name_for("Ubuntu", "20.04", "0") == "b"
    assert store.name_for("Ubuntu", "24.04", "0") == "c"
    assert store.name_for("Debian", "12", "0") == "d"


def test_as_shipped_each_release_is_served_by_its_own_image(tmp_path: Path) -> None:
    store = images.Images(tmp_path)
    names = {
        "Ubuntu 24.04": "ubuntu-24.04",
        "Ubuntu 14.04": "ubuntu-14.04",
        "Debian 11": "debian-11",
    }
    for release, name in names.items():
        distribution, _, number = release.partition(" ")
        assert store.name_for(distribution, number, "0") == name
    assert store.name_for("Ubuntu", "16.04", "1") == "ubuntu-16.04"


@pytest.mark.parametrize(
    "release, version, told",
    [
        (
            "22.04",
            "0",
            r"no base image for Ubuntu 22\.04 \(runSpec\.release\).*Ubuntu 24\.04, .*Debian 11",
        ),
        ("20.04", "1", r"Ubuntu 20\.04 has no version 1 \(runSpec\.version\): it has 0"),
        ("14.04", "1", r"has no version 1"),
    ],
)
def test_a_release_that_nothing_serves_is_an_error_that_shows_a_row(
    tmp_path: Path, release: str, version: str, told: str
) -> None:
    with pytest.raises(images.ImageError, match=told) as caught:
        images.Images(tmp_path).find("Ubuntu", release, version)
    assert f'"Ubuntu {release}' in str(caught.value)
    assert '= "debian-12"' in str(caught.value)


def test_a_table_for_some_releases_leaves_the_others_as_shipped(tmp_path: Path) -> None:
    store = images.Images(tmp_path, {"Ubuntu 20.04": "debian-12"})
    assert store.name_for("Ubuntu", "20.04", "0") == "debian-12"
    assert store.name_for("Ubuntu", "16.04", "0") == "ubuntu-16.04"


def test_a_missing_image_of_ones_own_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(images.ImageError, match=r"import FILE --as ours") as caught:
        images.Images(tmp_path, {"*": "ours"}).find("Ubuntu", "24.04", "0")
    assert "image build" not in str(caught.value)


async def test_an_unknown_name_is_an_error_that_names_the_known(store: images.Images) -> None:
    with pytest.raises(
        images.ImageError, match=r"'ubuntu-1'; there is debian-11, debian-12, ubuntu-14\.04"
    ):
        await store.build("ubuntu-1", ignore)


async def test_the_newest_image_is_used_and_the_older_stays(
    store: images.Images, builds: Builds, tmp_path: Path
) -> None:
    first = await store.build("debian-12", ignore)
    builds.version = 2
    second = await store.build("debian-12", ignore)
    assert store.find("Ubuntu", "20.04", "0").digest == second.digest
    assert {image.digest for image in store.list()} == {first.digest, second.digest}
    older = images.Images(tmp_path / "images", {"*": first.digest})
    found = older.find("Ubuntu", "20.04", "0")
    assert (found.name, found.digest) == ("debian-12", first.digest)


async def test_building_the_same_again_leaves_the_root_that_sandboxes_use(
    store: images.Images, builds: Builds
) -> None:
    first = await store.build("debian-12", ignore)
    before = store.find("Ubuntu", "20.04", "0").root.stat().st_ino
    second = await store.build("debian-12", ignore)
    assert (first.digest, builds.count) == (second.digest, 2)
    assert store.find("Ubuntu", "20.04", "0").root.stat().st_ino == before
    assert second.created_ms >= first.created_ms


async def test_a_failed_build_leaves_nothing(
    store: images.Images, builds: Builds, tmp_path: Path
) -> None:
    builds.error = "no network"
    with pytest.raises(images.ImageError, match="debian-12 could not be made: no network"):
        await store.build("debian-12", ignore)
    assert [p.name for p in (tmp_path / "images").iterdir()] == [".lock"]
    assert store.list() == []


@pytest.mark.usefixtures("builds")
async def test_what_a_killed_build_left_is_deleted_by_the_next(
    store: images.Images, tmp_path: Path
) -> None:
    left = tmp_path / "images" / ".build-99999" / "root"
    left.mkdir(parents=True)
    told: list[str] = []
    await store.build("debian-12", told.append)
    assert not left.parent.exists()
    assert any(".build-99999" in line for line in told)


async def test_who_waits_for_another_build_takes_its_image(tmp_path: Path, builds: Builds) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    waiting = asyncio.Event()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def tell(_: str) -> None:
            waiting.set()

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            second = group.create_task(images.Images(folder).build("debian-12", tell))
            await waiting.wait()
            built = folder / "d1"
            built.mkdir()
            made = images.Image(
                name="debian-12",
                digest="d1",
                recipe=images._mark(recipes.RECIPES["debian-12"]),
                distribution="Debian",
                release="12",
                created_ms=1 << 60,
                size_bytes=1,
                apt_hosts=(),
                packages=(),
                seconds={},
            )
            (built / "image.json").write_bytes(msgspec.json.encode(made))
            fcntl.flock(lock, fcntl.LOCK_UN)
    assert second.result().digest == "d1"
    assert builds.count == 0


@pytest.mark.usefixtures("builds")
async def test_an_image_is_current_until_its_recipe_changes(
    store: images.Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.is_current("debian-12")
    await store.build("debian-12", ignore)
    assert store.is_current("debian-12")
    changed = msgspec.structs.replace(recipes.RECIPES["debian-12"], packages=("jq",))
    monkeypatch.setitem(recipes.RECIPES, "debian-12", changed)
    assert not store.is_current("debian-12")


@pytest.mark.usefixtures("builds")
async def test_a_removed_image_is_gone(store: images.Images) -> None:
    built = await store.build("debian-12", ignore)
    store.remove(built.digest)
    assert store.list() == []
    with pytest.raises(images.ImageError, match="no image"):
        store.remove(built.digest)


@pytest.mark.usefixtures("builds")
async def test_only_root_sees_into_an_image(store: images.Images, tmp_path: Path) -> None:
    built = await store.build("debian-12", ignore)
    assert (tmp_path / "images" / built.digest).stat().st_mode & 0o77 == 0


# ---------------------------------------------------------------------------------- from a file

WHOLE = {**SYSTEM, "usr/bin/dx": b"", "usr/share/plasmid-packages": b"jq 1.6 amd64\n"}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking an image needs root")


def a_file(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "image.tar"
    path.write_bytes(image_files.tar(files))
    return path


@needs_root
async def test_an_image_from_a_file_serves_its_release(
    store: images.Images, builds: Builds, tmp_path: Path
) -> None:
    made = await store.take(a_file(tmp_path, WHOLE), images.Imported("debian-12"), ignore)
    assert store.find("Debian", "12", "0").digest == made.digest
    assert (made.packages, builds.count) == (("jq 1.6 amd64",), 0)


@needs_root
async def test_two_names_of_one_file_are_two_images(store: images.Images, tmp_path: Path) -> None:
    file = a_file(tmp_path, WHOLE)
    for name in ("a", "b"):
        await store.take(file, images.Imported(name), ignore)
    assert {image.name for image in store.list()} == {"a", "b"}


@needs_root
async def test_what_an_image_lacks_is_added_by_its_release(
    store: images.Images, builds: Builds, tmp_path: Path
) -> None:
    made = await store.take(a_file(tmp_path, dict(SYSTEM)), images.Imported("ours"), ignore)
    assert (made.name, made.release, builds.count) == ("ours", "12", 1)


@needs_root
async def test_taken_as_it_is_nothing_is_added(
    store: images.Images, builds: Builds, tmp_path: Path
) -> None:
    wanted = images.Imported("ours", "Ubuntu", "22.04", is_whole=True)
    made = await store.take(a_file(tmp_path, dict(SYSTEM)), wanted, ignore)
    assert (made.distribution, made.release, builds.count) == ("Ubuntu", "22.04", 0)


@needs_root
@pytest.mark.parametrize(
    "files, told",
    [
        ({**SYSTEM, "etc/os-release": b"ID=fedora\nVERSION_ID=43\n"}, "what fedora 43 lacks"),
        ({**SYSTEM, "etc/os-release": b""}, "give --distribution and --release"),
        ({"readme": b""}, "is no root file system"),
    ],
)
async def test_a_file_that_cannot_be_an_image_leaves_nothing(
    store: images.Images, tmp_path: Path, files: dict[str, bytes], told: str
) -> None:
    with pytest.raises(images.ImageError, match=told):
        await store.take(a_file(tmp_path, files), images.Imported("x"), ignore)
    assert [path.name for path in (tmp_path / "images").iterdir()] == [".lock"]


@needs_root
async def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    file = a_file(tmp_path, {**WHOLE, "big": bytes(8 << 20)})
    with small_disk(tmp_path / "small", size_bytes=4 << 20) as small:
        with pytest.raises(images.ImageError, match="No space left on device"):
            await images.Images(small).take(file, images.Imported("x"), ignore)
        assert [path.name for path in small.iterdir()] == [".lock"]
    assert file.exists()


async def test_a_file_that_is_not_there_is_said(store: images.Images, tmp_path: Path) -> None:
    with pytest.raises(images.ImageError, match="there is no file"):
        await store.take(tmp_path / "none.tar", images.Imported("x"), ignore)
