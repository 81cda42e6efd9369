"""What a check of one job needs to know of everything around it, read once."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import job_states
from plasmid.metadata import inspection, objects
from plasmid.metadata.database import Reader
from plasmid.metadata.inspection import JobFacts
from plasmid.metadata.rows import JobRow, ObjectRow

NOT_HELD = frozenset(job_states.State) - job_states.WITH_WORKER
"""The states in which no worker has a job; in all others one has."""


class Around(msgspec.Struct):
    """Facts about all jobs and analyses, and a reader of the same picture for the rest.

    `trees` and `children` hold both.
    """

    reader: Reader
    jobs: dict[str, JobFacts]
    analyses: dict[str, JobFacts]
    waits: dict[str, set[str]]
    tries: dict[str, dict[int, JobRow]]
    tokens: dict[str, list[int]]
    children: dict[str, list[str]]
    trees: dict[str, list[JobFacts]]
    executables: dict[str, ObjectRow | None] = {}
    targets: dict[str, ObjectRow | None] = {}

    def state_of(self, execution: str) -> str | None:
        """Return the state of a job or an analysis, None if it is gone."""
        facts = self.jobs.get(execution) or self.analyses.get(execution)
        return None if facts is None else facts.state

    def is_over(self, execution: str) -> bool:
        """Say whether a job or an analysis is in a terminal state, or gone."""
        state = self.state_of(execution)
        return state is None or job_states.is_terminal(state)

    def unfinished_children(self, job: str) -> list[str]:
        """Return the children of a job that are not over."""
        return [child for child in self.children.get(job, ()) if not self.is_over(child)]

    async def executable(self, object_id: str) -> ObjectRow | None:
        """Return what a job runs, or None if it was removed."""
        if object_id not in self.executables:
            self.executables[object_id] = await objects.find_object(self.reader, object_id)
        return self.executables[object_id]

    async def target(self, object_id: str) -> ObjectRow | None:
        """Return a data object for which a job waits, or None if it was removed."""
        if object_id not in self.targets:
            self.targets[object_id] = await objects.find_object(self.reader, object_id)
        return self.targets[object_id]


async def read(reader: Reader) -> Around:
    """Return what is around the jobs of a picture."""
    facts = await inspection.find_job_facts(reader)
    analyses = await inspection.find_analysis_facts(reader)
    children: dict[str, list[str]] = {}
    trees: dict[str, list[JobFacts]] = {}
    for job in [*facts.values(), *analyses.values()]:
        if job.parent_job is not None:
            children.setdefault(job.parent_job, []).append(job.id)
        trees.setdefault(job.root_execution, []).append(job)
    found: dict[str, Any] = {
        "waits": await inspection.find_all_waits(reader),
        "tries": await inspection.find_all_tries(reader),
        "tokens": await inspection.find_token_tries(reader),
    }
    return Around(
        reader=reader, jobs=facts, analyses=analyses, children=children, trees=trees, **found
    )
