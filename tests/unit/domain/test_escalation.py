"""Which larger instance types a job may get."""

from __future__ import annotations

import pytest

from plasmid.domain import escalation, instance_types
from plasmid.domain.instance_types import GB, GIB
from plasmid.domain.placement import Machine


def names(
    chosen: str,
    machine: Machine,
    *,
    allowed: tuple[str, ...] = (),
    grows: bool = True,
    may_shrink: bool = False,
) -> list[str]:
    steps = escalation.ladder(
        instance_types.get(chosen), machine, allowed=allowed, grows=grows, may_shrink=may_shrink
    )
    return [step["instanceType"] for step in steps]


def test_the_sizes_of_the_family_follow_one_another_up_to_the_machine() -> None:
    machine = Machine(40 * GIB, 4)
    assert names("mem1_ssd1_v2_x2", machine) == [f"mem1_ssd1_v2_x{cores}" for cores in (4, 8, 16)]
    assert names("mem1_ssd1_v2_x16", machine) == []


def test_without_the_sites_leave_there_are_none_but_those_that_the_author_allows() -> None:
    machine = Machine(40 * GIB, 4)
    assert names("mem1_ssd1_v2_x2", machine, grows=False) == []
    allowed = ("mem1_ssd1_v2_x2", "mem2_ssd1_v2_x2", "mem1_ssd1_v2_x36", "mem2_ssd1_v2_x8")
    assert names("mem1_ssd1_v2_x2", machine, allowed=allowed, grows=False) == [
        "mem2_ssd1_v2_x2", "mem2_ssd1_v2_x8",
    ]  # fmt: skip
    assert names("mem2_ssd1_v2_x2", machine, allowed=allowed) == ["mem2_ssd1_v2_x8"]


def test_where_jobs_are_cut_down_a_step_must_have_more_than_the_last_one_has_here() -> None:
    machine = Machine(12 * GIB, 4, cores=2, disk_bytes=60 * GB)
    assert names("mem1_ssd1_v2_x2", machine) == []  # the next has more cores than there are
    steps = escalation.ladder(
        instance_types.get("mem1_ssd1_v2_x2"), machine, allowed=(), grows=True, may_shrink=True
    )
    # x4 brings 8 GiB, x8 what the machine has, and no larger one anything more
    assert steps == [
        {
            "instanceType": "mem1_ssd1_v2_x4",
            "fitted": {"cores": 2, "memoryBytes": 8 * GIB, "diskBytes": 60 * GB},
        },
        {
            "instanceType": "mem1_ssd1_v2_x8",
            "fitted": {"cores": 2, "memoryBytes": 12 * GIB, "diskBytes": 60 * GB},
        },
    ]


def test_cards_are_not_made_up() -> None:
    allowed = ("mem2_ssd1_v2_x2", "mem2_ssd1_gpu_x16")
    machine = Machine(1 << 40, 4)
    assert names("mem2_ssd1_v2_x2", machine, allowed=allowed, may_shrink=True) == []


@pytest.mark.parametrize(("attempt", "count"), [(0, 0), (1, 1), (2, 0)])
def test_only_the_try_that_has_more_is_told_so(attempt: int, count: int) -> None:
    moves = [{"newInstanceType": "mem1_ssd1_v2_x4", "try": 1, "setAt": 0}]
    assert len(escalation.note(moves, attempt)) == count
    assert escalation.note(None, attempt) == []
