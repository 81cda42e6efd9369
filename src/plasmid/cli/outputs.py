"""Bring a job's output files here, by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from plasmid.cli.trouble import CommandError
from plasmid.client.api import ApiClient
from plasmid.domain import links

INPUTS: Final = "/.inputs"
"""The project's folder of local inputs: one that is put out again has no folder of its own."""


async def fetch(client: ApiClient, output: dict[str, Any], folder: Path, *, token: str) -> Any:
    """Download every file of an output to FOLDER/FIELD; return the output with those paths.

    Sub-folders that the job made are kept. Where two files of a field have one name, the later ones
    go into folders named by their index.
    """
    fetched: dict[str, Any] = {}
    for field, value in output.items():
        if isinstance(value, list):
            fetched[field] = [
                await _fetched(client, item, folder / field, index=index, token=token)
                for index, item in enumerate(value)
            ]
        else:
            fetched[field] = await _fetched(client, value, folder / field, index=0, token=token)
    return fetched


async def _fetched(client: ApiClient, value: Any, folder: Path, *, index: int, token: str) -> Any:
    file_id = links.linked_id(value)
    if file_id is None or not file_id.startswith("file-"):
        return value
    wanted = {"fields": {"name": True, "folder": True}}
    described = await client.call(f"/{file_id}/describe", wanted)
    steps = [] if described["folder"] == INPUTS else described["folder"].strip("/").split("/")
    name = safe_name(described["name"])
    target = folder.joinpath(*(safe_name(step) for step in steps if step), name)
    if index and target.exists():
        target = folder / str(index) / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        await client.download(file_id, target, token=token)
    except OSError as error:
        raise CommandError(
            f"cannot write {target}: {error.strerror}; choose another --out"
        ) from error
    return str(target)


def safe_name(name: str) -> str:
    """Return a file name that stays in its folder, whatever a job called its file."""
    cleaned = name.replace("/", "%2F").replace("\0", "%00")
    return f"%2E{cleaned[1:]}" if cleaned in (".", "..") else cleaned
