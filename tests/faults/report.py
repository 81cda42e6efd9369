"""The table of a campaign, by actor and kind of fault."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from typing import Final

from tests.faults import checking, plan, running

# Of fewer runs a bound says nothing that anybody would want to know.
BOUND_FROM: Final = 10
HEAD: Final = (
    *("hit", "fault", "runs", "fired", "lost", "doubled", "leftover", "wrong"),
    *("p50 s", "p99 s", "max s", "failure rate below"),
)


def table(
    outcomes: Sequence[running.Outcome], violations: Sequence[checking.Violation]
) -> list[str]:
    """Return the lines of a Markdown table; the bound is 3/n at 95 % confidence."""
    kinds = {outcome.fault.run: (outcome.fault.actor, outcome.fault.kind) for outcome in outcomes}
    grouped: dict[tuple[str, str], list[running.Outcome]] = collections.defaultdict(list)
    for outcome in outcomes:
        grouped[outcome.fault.actor, outcome.fault.kind].append(outcome)
    broken = collections.Counter((kinds.get(each.run), each.kind) for each in violations)
    lines = [_row(HEAD), _row(["---"] * len(HEAD))]
    order = [pair for pair in plan.WEIGHTS if pair in grouped]
    for pair in order:
        counts = [broken[pair, kind] for kind in checking.KINDS]
        lines.append(_row([*pair, *_figures(grouped[pair], counts)]))
    totals = [
        sum(count for (_, kind), count in broken.items() if kind == each) for each in checking.KINDS
    ]
    lines.append(_row(["all", "", *_figures(outcomes, totals)]))
    return lines


def steps(outcomes: Iterable[running.Outcome]) -> str:
    """Return how often each step was hit."""
    fired = collections.Counter(
        outcome.fault.step for outcome in outcomes if outcome.fired_ms and outcome.fault.step
    )
    every = sorted(fired, key=lambda step: (int(step.strip("Sw")), step))
    return ", ".join(f"{step} {fired[step]}" for step in every)


def _figures(outcomes: Sequence[running.Outcome], counts: Sequence[int]) -> list[str]:
    times = sorted(each.recovery_ms / 1000 for each in outcomes if each.fired_ms)
    fired = len(times)
    bound = f"{3 / fired:.2%}" if fired >= BOUND_FROM else ""
    spread = [_at(times, share) for share in (0.5, 0.99, 1.0)]
    return [str(len(outcomes)), str(fired), *map(str, counts), *spread, bound]


def _at(times: Sequence[float], share: float) -> str:
    return f"{times[min(len(times) - 1, int(len(times) * share))]:.2f}" if times else ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
