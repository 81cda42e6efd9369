"""Which larger instance types a job that lacked memory or disk may get for its next try (F.9).

Where an executable lists the types that will do (instanceTypeSelector), the later ones of the list;
else, if the site lets jobs grow, the larger ones of the same family. Each step has more memory or
disk on this machine than the one before: nothing is gained by asking for more than there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from plasmid.domain import fitting, instance_types
from plasmid.domain.instance_types import InstanceType
from plasmid.domain.placement import Machine

# Names in a job's settings.
LADDER: Final = "largerInstanceTypes"
TRANSITIONS: Final = "instanceTypeTransitions"


def ladder(
    chosen: InstanceType,
    machine: Machine,
    *,
    allowed: Sequence[str],
    grows: bool,
    may_shrink: bool,
) -> list[dict[str, Any]]:
    """Return the steps above an instance type: `{instanceType, fitted}`, the next one first.

    `allowed` are the types that will do, in order; one name or none is no choice. `grows`: the
    site lets jobs have larger ones of the family. `fitted` is what a step has here if that is less
    (with `may_shrink` only).
    """
    if len(allowed) > 1:
        above = [
            instance_types.get(name) for name in allowed[list(allowed).index(chosen.name) + 1 :]
        ]
    else:
        above = _larger_of_family(chosen) if grows else []
    steps, last = [], fitting.fitted(chosen, machine)
    for wanted in above:
        given = fitting.fitted(wanted, machine)
        has_more = given.memory_bytes > last.memory_bytes or given.disk_bytes > last.disk_bytes
        has_cards = wanted.gpus <= len(machine.gpus) and not wanted.fpgas
        if has_more and has_cards and (may_shrink or given == wanted):
            steps.append({"instanceType": wanted.name, "fitted": fitting.shown(wanted, machine)})
            last = given
    return steps


def _larger_of_family(chosen: InstanceType) -> list[InstanceType]:
    prefix = chosen.name.rpartition("_x")[0]
    family = [
        member
        for name, member in instance_types.ALL.items()
        if name.rpartition("_x")[0] == prefix and member.cores > chosen.cores
    ]
    return sorted(family, key=lambda member: member.cores)


def note(transitions: object, attempt: int) -> list[str]:
    """Return the line that tells a try that it has a larger instance type than the one before."""
    if not isinstance(transitions, list) or not transitions:
        return []
    last = transitions[-1]
    if last["try"] != attempt:
        return []
    wanted = last["newInstanceType"]
    return [f"The last try lacked memory or disk: this one has the instance type {wanted}"]
