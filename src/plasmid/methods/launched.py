"""What a job's describe says of the executions that it has launched (contract F.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plasmid.metadata import launched
from plasmid.metadata.database import Reader

_FIELD = "dependsOn"


async def added(reader: Reader, described: dict[str, Any], job_id: str) -> dict[str, Any]:
    """Return a describe whose `dependsOn` lists also what the job has launched and what lasts."""
    await add_to_all(reader, [(job_id, described)])
    return described


async def found(reader: Reader, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a find whose describes, if there are any, do so too."""
    entries = [
        (entry["id"], entry["describe"]) for entry in answer["results"] if "describe" in entry
    ]
    await add_to_all(reader, entries)
    return answer


async def add_to_all(reader: Reader, described: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Add to the `dependsOn` of each of some described jobs, where that is among its fields."""
    wanted: dict[str, dict[str, Any]] = {}
    for job_id, entry in described:
        if _FIELD in entry:
            wanted.setdefault(job_id, entry)  # earlier tries come after the job and launch no more
    if not wanted:
        return
    for job_id, lasting in (await launched.find_unfinished(reader, wanted)).items():
        entry = wanted[job_id]
        entry[_FIELD] = list(dict.fromkeys([*entry[_FIELD], *lasting]))
