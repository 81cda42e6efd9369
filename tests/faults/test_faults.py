"""Whatever happens to whichever process: nothing acknowledged is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid import config
from plasmid.engines import oci
from plasmid.telemetry import failpoints
from tests import bases, stand_in
from tests.faults import bugs, campaign, ground, plan, retries

RUNS = 300
SEED = 4
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture(scope="session")
def images_folder() -> Path:
    """The machine's base images; the one that stands in for all is made if it is not there."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes with limits of their own need root")
    if missing := asyncio.run(oci.OciEngine(None).check()):
        pytest.skip(f"no engine: {missing[0]}")
    found = config.load(os.environ)
    bases.make_if_missing(stand_in.NAME, found.images_folder)
    return found.images_folder


@pytest.fixture
def place(images_folder: Path) -> Iterator[ground.Ground]:
    """A platform that a test may treat badly."""
    place = ground.Ground(images_folder)
    try:
        place.open()
        yield place
    finally:
        place.close()


def test_faults_of_all_kinds_lose_and_double_nothing(images_folder: Path) -> None:
    faults = [plan.choose(SEED, number) for number in range(RUNS)]
    result = campaign.run(images_folder, faults)
    assert not result.violations, (result.violations, result.story)
    fired = sum(outcome.fired_ms > 0 for outcome in result.outcomes)
    assert fired > 0.9 * RUNS


@pytest.mark.parametrize("bug", ["adopt-skipped", "leftover-kept", "fsync-skipped"])
def test_a_seeded_bug_is_seen(images_folder: Path, bug: str) -> None:
    caught = bugs.hunt(images_folder, bug, seed=SEED)
    assert caught.first is not None, f"{bug}: not seen in {caught.runs} runs"


def test_a_call_that_is_made_again_has_one_effect(place: ground.Ground) -> None:
    retried = retries.creates(place, 1000, seed=SEED)
    assert not retried.troubles
    assert retried.landed > 100, "the cut came always before the effect"
    assert 50 < retried.unanswered < retried.whole - 50, "the cut came always on one side of it"


def test_every_actor_and_step_has_its_runs() -> None:
    faults = [plan.choose(SEED, number) for number in range(5000)]
    assert {(fault.actor, fault.kind) for fault in faults} == set(plan.WEIGHTS)
    assert {fault.step for fault in faults if fault.step} == set(failpoints.STEPS)


def test_a_run_is_repeated_from_its_number_or_its_line() -> None:
    fault = plan.choose(SEED, 17)
    assert plan.choose(SEED, 17) == fault
    line = campaign.Line(fault=fault, fired_ms=1, recovery_ms=2, jobs=[], violations=[])
    assert campaign.fault_of(campaign.encoded(line)) == fault
