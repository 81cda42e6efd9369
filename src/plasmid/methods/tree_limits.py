"""How many jobs a tree may have: a job that starts others without end must come to one."""

from __future__ import annotations

from plasmid.domain import errors
from plasmid.metadata import queue
from plasmid.metadata.rows import JobRow
from plasmid.methods.call import Call


async def require_room(call: Call, parent: JobRow | None) -> None:
    """Raise InvalidState if the tree of the job that starts another one is full."""
    if parent is None:
        return
    limit = call.platform.limits.tree_jobs_max
    if await queue.count_tree(call.reader, parent.root_execution) >= limit:
        raise errors.InvalidState(
            f"The tree of {parent.root_execution} has {limit} jobs, and may have no more"
            " (the operator's tree_jobs_max, below [jobs]); start them with detach, or fewer"
        )
