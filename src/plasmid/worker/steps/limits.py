"""Tells a job at its beginning what it does not have of its instance type."""

from __future__ import annotations

from plasmid.domain import assignments
from plasmid.engines import engine
from plasmid.worker import log_pump, try_folder


async def tell(
    with_engine: engine.Engine,
    wanted: engine.SandboxSpec,
    *,
    assignment: assignments.Assignment,
    folder: try_folder.TryFolder,
    pump: log_pump.LogPump,
) -> None:
    """Say in the log what the platform notes and which limits this machine cannot enforce.

    The latter are kept in the try's folder, for the report of its end.
    """
    for note in assignment.notes:
        pump.say(note)
    reasons = await with_engine.unenforced(wanted)
    for reason in reasons:
        pump.say(f"Not enforced on this machine: {reason}")
    folder.keep_unenforced(reasons)
