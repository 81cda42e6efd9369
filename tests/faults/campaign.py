"""Many runs on one platform that is kept up, checked batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from tests.faults import checking, ground, journal, plan, processes, report, running, workload

AT_ONCE: Final = 4
BATCH: Final = 25
BATCH_OF_HUNT: Final = 8
VIOLATIONS_MAX: Final = 25
INSTANCE: Final = "mem1_ssd1_v2_x2"


class Line(msgspec.Struct, kw_only=True):
    """What is kept of a run, to be read and run again."""

    fault: plan.Fault
    fired_ms: int
    recovery_ms: int
    jobs: list[str]
    violations: list[checking.Violation]


class Result(msgspec.Struct):
    """What a campaign has shown, and where its story is if something was broken."""

    outcomes: list[running.Outcome]
    violations: list[checking.Violation]
    seconds: float
    story: Path | None = None

    def lines(self) -> list[str]:
        """Return the table and what goes with it."""
        took = f"{len(self.outcomes)} runs in {self.seconds:.0f} s"
        steps = f"Steps hit: {report.steps(self.outcomes) or 'none'}"
        return [*report.table(self.outcomes, self.violations), "", f"{took}. {steps}."]


def run(
    images: Path,
    faults: Sequence[plan.Fault],
    *,
    bug: str = "",
    kept_in: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    stops_at: int = VIOLATIONS_MAX,
    stops_on: Collection[str] = checking.KINDS,
    keeps_story: bool = True,
) -> Result:
    """Run faults on a platform of their own and check all that it has promised.

    `bug` names one that is seeded into it; each run is added to the file `kept_in` as a line of
    JSON. Ends early when there are `stops_at` violations of the kinds `stops_on`. With a violation
    of any kind, the platform's folder is kept.
    """
    begun = time.monotonic()
    place = ground.Ground(images, bug=bug)
    kept = journal.Journal(place.home / "journal.jsonl")
    result = Result([], [], 0.0)
    try:
        place.open()
        runner = running.Runner(place)
        checker = checking.Checker(place, kept, runner)
        for batch in _batches(faults, BATCH if stops_at > 1 else BATCH_OF_HUNT):
            outcomes, violations = _run_batch(place, kept, runner, checker=checker, faults=batch)
            result.outcomes += outcomes
            result.violations += violations
            _keep(kept_in, outcomes, violations)
            for each in violations:
                tell(f"{each.kind}: run {each.run}: {each.subject}: {each.detail}")
            tell(f"{len(result.outcomes)} runs, {time.monotonic() - begun:.0f} s")
            if sum(each.kind in stops_on for each in result.violations) >= stops_at:
                break
        else:
            result.violations += (found := checker.everything())
            for each in found:
                tell(f"{each.kind}: at the end: {each.subject}: {each.detail}")
    except (ground.RefusedError, processes.TooLateError) as error:
        # A platform that has forgotten who its user is, or does not come back, has lost all.
        result.violations.append(checking.Violation(checking.LOST, -1, "the platform", str(error)))
    except KeyboardInterrupt:
        tell("ended early: what follows is about the batches that were checked")
    except BaseException:
        result.story = place.home
        tell(f"broken off; what was there is kept in {place.home}")
        raise
    finally:
        kept.close()
        result.seconds = time.monotonic() - begun
        is_worth_keeping = keeps_story and bool(result.violations)
        result.story = place.home if is_worth_keeping else result.story
        place.close(keeps_folder=result.story is not None)
    return result


def _run_batch(
    place: ground.Ground,
    kept: journal.Journal,
    runner: running.Runner,
    *,
    checker: checking.Checker,
    faults: Sequence[plan.Fault],
) -> tuple[list[running.Outcome], list[checking.Violation]]:
    project = workload.Project(place, kept, instance=INSTANCE)
    with ThreadPoolExecutor(AT_ONCE, "runs") as threads:
        outcomes = list(threads.map(lambda fault: runner.run(fault, project), faults))
    return outcomes, checker.batch(project, outcomes)


def _batches(faults: Sequence[plan.Fault], size: int) -> Iterable[Sequence[plan.Fault]]:
    return (faults[first : first + size] for first in range(0, len(faults), size))


def _keep(
    path: Path | None,
    outcomes: Iterable[running.Outcome],
    violations: Sequence[checking.Violation],
) -> None:
    if path is None:
        return
    with path.open("ab") as file:
        for outcome in outcomes:
            line = Line(
                fault=outcome.fault,
                fired_ms=outcome.fired_ms,
                recovery_ms=outcome.recovery_ms,
                jobs=[job.id for job in outcome.jobs],
                violations=[each for each in violations if each.run == outcome.fault.run],
            )
            file.write(f"{encoded(line)}\n".encode())


def encoded(line: Line) -> str:
    """Return what is kept of a run."""
    return msgspec.json.encode(line).decode()


def fault_of(line: str) -> plan.Fault:
    """Return the fault of a line that a campaign has kept."""
    return msgspec.json.decode(line, type=Line).fault
