"""Say what a run of a workflow would start, by starting it and taking it back (contract E.6)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import ids, reuse
from plasmid.domain.access import Level
from plasmid.metadata import analyses
from plasmid.methods import analysis, workflow_runs
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject


class _TakenBackError(Exception):
    """Undoes the transaction of a dry run."""


@method("/workflow-xxxx/dryRun", access=Access.OBJECT_VIEW, mode=Mode.OWN)
async def dry_run(call: Call, target: DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Describe the analysis that a run with this input would be; nothing is left of it.

    A stage that would be given the outputs of an earlier execution has that one's describe.
    Who may only look at the project may ask, too: nothing is written.
    """
    answer: dict[str, Any] = {}
    try:
        async with call.platform.database.transaction() as tx:
            call.begin(tx)
            made = await workflow_runs.run(call, target, body, needed=Level.VIEW)
            row = await analyses.find_analysis(tx, made["id"])
            if row is not None:
                answer = await analysis.described(call, row, {})
                await _name_reused(call, answer)
            raise _TakenBackError
    except _TakenBackError:
        return answer


async def _name_reused(call: Call, described: dict[str, Any]) -> None:
    """Put in the place of executions that would not run those which have, as the client expects."""
    for stage in described["stages"]:
        execution = stage["execution"]
        source = execution.get(reuse.SOURCE)
        if source is not None:
            stage["execution"] = await analysis.described_by_id(call, source) or execution
        elif ids.is_id(execution.get("id", ""), "analysis"):
            await _name_reused(call, execution)
