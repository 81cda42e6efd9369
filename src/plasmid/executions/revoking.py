"""End a token of a user, and with it the jobs of the trees that it has launched (contract F.9)."""

from __future__ import annotations

from plasmid.domain import failures, job_states
from plasmid.domain.failures import JobFailure
from plasmid.executions import settle
from plasmid.executions.world import Moment
from plasmid.metadata import jobs, revocations, users
from plasmid.metadata.rows import TokenRow


async def revoke(moment: Moment, token: TokenRow, why: str) -> int:
    """Forget a token; its jobs fail with AuthError, for the reason given. Return how many do."""
    await users.remove_token(moment.tx, token.hash)
    roots = await revocations.find_roots(moment.tx, token.user or "", token.hash)
    failure = JobFailure(
        failures.AUTH_ERROR, f"the token with which the job was launched {why}; launch it anew"
    )
    count = 0
    for root in roots:
        for found in await jobs.find_unfinished_of_tree(moment.tx, root):
            row = await jobs.find_job(moment.tx, found.id)
            if row is not None and not job_states.is_terminal(row.state):
                await settle.stop(moment, row, failure)
                count += 1
    return count
