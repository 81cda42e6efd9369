"""The site's folder of assets: a table and the bytes that it names, shared by serve and run.

    assets/
      table.json          domain.site_assets.Table
      content/<sha256>    archives and files

Only the owner of the folder may change it. A change is whole or not there: the table is written
aside and renamed, under a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain.site_assets import Table

PIECE_BYTES: Final = 1 << 20


class SiteAssetsError(Exception):
    """The folder or an archive cannot be used; the message says why and what to do."""


class SiteAssets:
    """The assets of one PLASMID_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "table.json"

    def table(self) -> Table:
        """Return the table; one that was never written is empty."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Table)
        except FileNotFoundError:
            return Table()
        except (OSError, msgspec.DecodeError) as error:
            raise SiteAssetsError(
                f"{self._path} cannot be read ({error}); mend it, or move it away and import anew"
            ) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[Table]:
        """Give the table to change, to nobody else; it is kept if the block ends well."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            table = self.table()
            yield table
            aside = self._path.with_suffix(".new")
            text = msgspec.json.format(msgspec.json.encode(table), indent=1)
            with aside.open("wb") as sink:
                sink.write(text + b"\n")
                sink.flush()
                os.fsync(sink.fileno())
            aside.rename(self._path)
            self._drop_unnamed(table)
        finally:
            os.close(descriptor)

    def keep(self, source: Path) -> tuple[str, int]:
        """Copy a file into the folder; return the name of its bytes, and how many these are.

        Only while the table is being changed: what no table names is dropped.
        """
        target = self._folder / "content"
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = target / f"incoming-{os.getpid()}"
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            with source.open("rb") as given, aside.open("wb") as sink:
                while piece := given.read(PIECE_BYTES):
                    digest.update(piece)
                    size_bytes += sink.write(piece)
                sink.flush()
                os.fsync(sink.fileno())
            aside.rename(target / digest.hexdigest())
        except OSError as error:
            raise SiteAssetsError(f"{source} cannot be kept in {target}: {error}") from error
        finally:
            aside.unlink(missing_ok=True)
        return digest.hexdigest(), size_bytes

    def content(self, name: str) -> Path:
        """Return where bytes are; raises SiteAssetsError if they are not."""
        path = self._folder / "content" / name
        if not path.is_file():
            raise SiteAssetsError(f"{path}, which {self._path} names, is gone; import it again")
        return path

    def _drop_unnamed(self, table: Table) -> None:
        named = {entry.content for entry in table.entries()}
        content = self._folder / "content"
        for path in content.iterdir() if content.is_dir() else ():
            if path.name not in named and not path.name.startswith("incoming-"):
                path.unlink()


def require_archive(path: Path) -> int:
    """Return how many entries a tar archive has; raises SiteAssetsError if it is none, or broken.

    What it holds is not looked at: it is unpacked in sandboxes only.
    """
    count = 0
    try:
        with tarfile.open(path, "r|*") as tar:
            for _ in tar:
                count += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SiteAssetsError(
            f"{path} is no whole tar archive ({error}); an asset is a .tar.gz whose root is /"
        ) from error
    return count
