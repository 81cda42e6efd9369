"""The verdict on analyses: what must be true of each when all is over, whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

Rows = Callable[[str], list[tuple[Any, ...]]]
Wrong = tuple[str, str]
TERMINAL: Final = ("done", "failed", "terminated")
TREE_FAILURE: Final = "JobTreeFailure"
OVER: Final = "('done', 'failed', 'terminated')"
# What must never happen, not even for the length of a transaction's statement.
TRIGGERS: Final = (
    (
        "CREATE TRIGGER ended_analysis_stays BEFORE UPDATE OF state ON analyses"
        f" WHEN OLD.state IN {OVER} AND NEW.state IS NOT OLD.state"
        " BEGIN SELECT RAISE(ABORT, 'I3: the state of an ended analysis changes'); END"
    ),
    (
        "CREATE TRIGGER stages_first BEFORE UPDATE OF state ON analyses"
        f" WHEN NEW.state IN {OVER} AND ("
        f" EXISTS (SELECT 1 FROM jobs WHERE parent_analysis = NEW.id AND state NOT IN {OVER})"
        " OR EXISTS (SELECT 1 FROM analyses WHERE parent_analysis = NEW.id"
        f" AND state NOT IN {OVER}))"
        " BEGIN SELECT RAISE(ABORT, 'I13: an analysis is over before its stage'); END"
    ),
    (
        "CREATE TRIGGER analyses_first BEFORE UPDATE OF state ON jobs"
        " WHEN NEW.state = 'done' AND EXISTS (SELECT 1 FROM analyses WHERE parent_job = NEW.id"
        f" AND state NOT IN {OVER})"
        " BEGIN SELECT RAISE(ABORT, 'I13: a parent is done before its analysis'); END"
    ),
    (
        "CREATE TRIGGER none_begins_after_a_failure BEFORE UPDATE OF state ON jobs"
        " WHEN NEW.state = 'running' AND NEW.parent_analysis IS NOT NULL AND EXISTS (SELECT 1"
        " FROM jobs o WHERE o.parent_analysis = NEW.parent_analysis AND o.state = 'failed'"
        " AND o.failure_reason IS NOT 'JobTreeFailure'"
        " AND json_extract(o.settings, '$.executionPolicy.onNonRestartableFailure')"
        " IS NOT 'failStage')"
        " BEGIN SELECT RAISE(ABORT, 'I15: a stage begins after one that fails all'); END"
    ),
)


class Analysis(msgspec.Struct):
    """What the platform has of an analysis."""

    id: str
    name: str
    state: str
    parent_analysis: str | None
    output: dict[str, Any] | None
    stages: list[dict[str, str]]
    moves: list[str]
    settings: dict[str, Any]
    links: dict[str, set[str]]


class Stage(msgspec.Struct):
    """What it has of the execution of a stage; `input` and `output` are None for an analysis."""

    id: str
    state: str
    analysis: str
    stage: str
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    reason: str | None = None
    origin: dict[str, Any] | None = None
    falls_alone: bool = False


def look(rows: Rows) -> Iterator[Wrong]:
    """Give the kind of what is wrong (stuck, lost, doubled, findings) and a line about it."""
    known = {one.id: one for one in _analyses(rows)}
    stages: dict[str, dict[str, list[Stage]]] = {one: {} for one in known}
    for stage in _stages(rows, known):
        stages[stage.analysis].setdefault(stage.stage, []).append(stage)
    for analysis in known.values():
        yield from _look_at(analysis, stages[analysis.id], known, rows)


def _analyses(rows: Rows) -> Iterator[Analysis]:
    columns = "id, name, state, parent_analysis, output, stages, state_transitions, settings"
    for row in rows(f"SELECT {columns}, workflow FROM analyses ORDER BY id"):
        stages = _parsed(row[8])["stages"]
        yield Analysis(
            id=row[0],
            name=row[1],
            state=row[2],
            parent_analysis=row[3],
            output=_parsed(row[4]),
            stages=_parsed(row[5]),
            moves=[move["newState"] for move in _parsed(row[6])],
            settings=_parsed(row[7]),
            links={one["id"]: _linked(one.get("input")) for one in stages},
        )


def _parsed(value: str | None) -> Any:
    return msgspec.json.decode(value) if value else None


def _linked(value: Any) -> set[str]:
    """Return the stages to which a value is linked."""
    if isinstance(value, dict) and isinstance(link := value.get("$dnanexus_link"), dict):
        return {link["stage"]} if "stage" in link else set()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {stage for one in inner for stage in _linked(one)}


def _stages(rows: Rows, known: dict[str, Analysis]) -> Iterator[Stage]:
    policy = "json_extract(settings, '$.executionPolicy.onNonRestartableFailure') IS 'failStage'"
    columns = f"id, state, parent_analysis, stage, {policy}"
    where = "WHERE parent_analysis IS NOT NULL ORDER BY id"
    what = "input, output, failure_reason, failure_from"
    for row in rows(f"SELECT {columns}, {what} FROM jobs {where}"):
        yield Stage(
            id=row[0],
            state=row[1],
            analysis=row[2],
            stage=row[3],
            falls_alone=bool(row[4]),
            input=_parsed(row[5]),
            output=_parsed(row[6]),
            reason=row[7],
            origin=_parsed(row[8]),
        )
    for row in rows(f"SELECT {columns} FROM analyses {where}"):
        settings = known[row[0]].settings
        yield Stage(
            id=row[0],
            state=row[1],
            analysis=row[2],
            stage=row[3],
            falls_alone=bool(row[4]),
            reason=settings.get("failureReason"),
            origin=settings.get("failureFrom"),
        )


def _look_at(
    analysis: Analysis, stages: dict[str, list[Stage]], known: dict[str, Analysis], rows: Rows
) -> Iterator[Wrong]:
    name = f"{analysis.id} ({analysis.name})"
    if analysis.state not in TERMINAL:
        yield "stuck", f"I14: {name} is still {analysis.state} long after the last fault"
        return
    told = {entry["id"]: entry["execution"] for entry in analysis.stages}
    for stage, execution in told.items():
        if [one.id for one in stages.get(stage, [])] != [execution]:
            made = [one.id for one in stages.get(stage, [])]
            yield "doubled", f"I1: stage {stage} of {name} is {execution}; there are {made}"
            return
    one_each = {stage: found[0] for stage, found in stages.items()}
    states = [one.state for one in one_each.values()]
    if (wanted := _state_of(analysis, states)) != analysis.state:
        yield "findings", f"I3: {name} is {analysis.state}, not {wanted}; its stages are {states}"
    yield from _look_at_output(analysis, one_each, known)
    yield from _look_at_reason(analysis, one_each, rows)
    yield from _look_at_falls(analysis, one_each)
    yield from _look_at_values(analysis, one_each)


def _state_of(analysis: Analysis, states: list[str]) -> str:
    if "terminating" in analysis.moves:
        return "terminated"
    if "failed" in states:
        return "failed"
    return "terminated" if "terminated" in states else "done"


def _look_at_output(
    analysis: Analysis, stages: dict[str, Stage], known: dict[str, Analysis]
) -> Iterator[Wrong]:
    """Only one that is done has an output: those of its stages, or what it names."""
    if (analysis.output is not None) != (analysis.state == "done"):
        yield "findings", f"I3: {analysis.id} is {analysis.state}, its output {analysis.output}"
    if analysis.output is None or "outputs" in analysis.settings:
        return
    wanted: dict[str, Any] = {}
    for stage, one in stages.items():
        inner = known[one.id].output if one.id in known else one.output
        wanted |= {f"{stage}.{field}": value for field, value in (inner or {}).items()}
    if analysis.output != wanted:
        yield "lost", f"I3: {analysis.id} has put out {analysis.output}, its stages {wanted}"


def _look_at_reason(analysis: Analysis, stages: dict[str, Stage], rows: Rows) -> Iterator[Wrong]:
    """One that has failed says for what, which is what one of its stages says."""
    if analysis.state != "failed":
        return
    said = {name: analysis.settings.get(name) for name in ("failureReason", "failureFrom")}
    origin = said["failureFrom"] or {}
    reasons = [one.origin for one in stages.values() if one.state == "failed"]
    if not analysis.settings.get("failureMessage") or origin not in reasons:
        yield "findings", f"I15: {analysis.id} failed for {said}, its stages for {reasons}"
    if not rows(f"SELECT 1 FROM jobs WHERE id = '{origin.get('id')}'"):
        yield "findings", f"I15: {analysis.id} failed for {origin}, which is not there"


def _look_at_falls(analysis: Analysis, stages: dict[str, Stage]) -> Iterator[Wrong]:
    """A stage falls with another only if that fails all, or if it needs what that puts out."""
    failed = [one for one in stages.values() if one.state == "failed"]
    if any(not one.falls_alone and one.reason != TREE_FAILURE for one in failed):
        return
    owners = {one.id: stage for stage, one in stages.items()}
    for stage, one in stages.items():
        source = owners.get((one.origin or {}).get("id", ""))
        if one.state == "failed" and source and source not in _needed(analysis, stage):
            yield "findings", f"I15: {one.id} ({stage}) fell with {source}, which failed alone"


def _needed(analysis: Analysis, stage: str) -> set[str]:
    """Return a stage and those to which it is linked, also by others."""
    found, left = {stage}, [stage]
    while left:
        more = analysis.links.get(left.pop(), set()) - found
        found |= more
        left += more
    return found


def _look_at_values(analysis: Analysis, stages: dict[str, Stage]) -> Iterator[Wrong]:
    """A stage that is linked to the effect of another has got that."""
    effects = {stage: (one.output or {}).get("effect") for stage, one in stages.items()}
    for stage, linked in analysis.links.items():
        one = stages[stage]
        given = (one.input or {}).get("given")
        if one.state != "done" or not isinstance(given, str) or len(linked) != 1:
            continue
        [source] = linked
        while len(further := analysis.links[source]) == 1 and effects[source] != given:
            [source] = further
        if effects[source] not in (given, None):
            yield "findings", f"I2: {one.id} ({stage}) got {given}, not {effects[source]}"
