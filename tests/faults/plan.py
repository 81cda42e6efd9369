"""Which fault a run has: chosen by seed and number alone, so that each can be repeated."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

import msgspec

from plasmid.telemetry import failpoints

SERVER: Final = "server"
WORKER: Final = "worker"
BOTH: Final = "server and worker"
SUPERVISOR: Final = "supervisor"
USER: Final = "user process"
MACHINE: Final = "machine"

KILL_AT_STEP: Final = "kill -9 at a step"
KILL: Final = "kill -9 at random"
STOP: Final = "SIGSTOP within the lease"
STOP_AT_STEP: Final = "SIGSTOP beyond the lease"
ERROR: Final = "EIO at a step"
POWER: Final = "power cut"
SECOND: Final = "a second one is started"

# How many runs of a thousand.
WEIGHTS: Final = {
    (USER, KILL): 290,
    (USER, STOP): 20,
    (SUPERVISOR, KILL): 200,
    (SUPERVISOR, STOP): 20,
    (WORKER, KILL_AT_STEP): 140,
    (WORKER, KILL): 60,
    (WORKER, STOP): 10,
    (WORKER, STOP_AT_STEP): 12,
    (WORKER, ERROR): 10,
    (WORKER, SECOND): 4,
    (SERVER, KILL_AT_STEP): 110,
    (SERVER, KILL): 40,
    (SERVER, STOP): 10,
    (SERVER, STOP_AT_STEP): 8,
    (SERVER, ERROR): 20,
    (SERVER, SECOND): 4,
    (BOTH, KILL): 12,
    (MACHINE, POWER): 50,
}
# One job in flight is hit by what happens to any of these.
PLATFORM_WIDE: Final = frozenset({SERVER, WORKER, BOTH, MACHINE})
# After these a try may be lost that was running: the lease was over, or the machine gone.
CHARGED: Final = frozenset({STOP_AT_STEP, ERROR, POWER})
TARGETS: Final = {
    USER: ("first", "template", "last", "all but a daemon"),
    # while the job's code runs, or also while the sandbox is made
    SUPERVISOR: ("running", "running", "any"),
}
_SHAPE_OF_STEP: Final = {
    "S2": "chain",
    "S10": "talk",
    "S13": "upload",
    "S19": "fails",
    "S20": "asks",
    "S20w": "asks",
}
_SUBJECTS: Final = {
    "S0": ("", "~/run", "~/finished", "~/log", "~/sync"),
    "S1": ("~/run", "~/run", "~/finished", "~/log", "~/record/new", "~/sync", ""),
}
# A worker that is stopped here wakes up with something to say.
_STOPS: Final = ("S5", "S9", "S10", "S11", "S12", "S15")
# Where nothing is read or written, no I/O can fail.
_WITHOUT_IO: Final = ("S20w",)
_ANY_SHAPE: Final = ("quick", "talk", "tree", "chain", "fails", "asks", "upload")
_OFTEN: Final = ("S0", "S1", "S10", "S18")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: `failpoint` is what is armed, `after_ms` how long after the jobs it happens."""

    run: int
    actor: str
    kind: str
    shape: str
    step: str = ""
    failpoint: str = ""
    after_ms: int = 0
    target: str = ""
    restarts: int = 5
    seed: int = 0

    @property
    def is_platform_wide(self) -> bool:
        """Whether other runs' jobs are hit as well."""
        return self.actor in PLATFORM_WIDE

    def rng(self) -> random.Random:
        """Return the run's own randomness, the same each time."""
        return random.Random(f"{self.seed}:{self.run}:jobs")


def choose(seed: int, run: int, only: Collection[str] = ()) -> Fault:
    """Return the fault of a run; `only` names actors, kinds or steps that are wanted."""
    rng = random.Random(f"{seed}:{run}")
    weights = {pair: each for pair, each in WEIGHTS.items() if not only or _is_in(pair, only)}
    actor, kind = rng.choices(list(weights), list(weights.values()))[0]
    step, failpoint = "", ""
    if kind in (KILL_AT_STEP, ERROR) or (kind == STOP_AT_STEP and actor == WORKER):
        wanted = [step for step in _steps(actor, kind) if step in only]
        step = rng.choice(wanted or _steps(actor, kind))
        failpoint = _failpoint(rng, step, kind)
    shape = _SHAPE_OF_STEP.get(step) or rng.choice(_ANY_SHAPE)
    if step and step not in _SHAPE_OF_STEP:
        shape = rng.choice(("quick", "talk", "tree", "chain"))
    if actor in (USER, SUPERVISOR):
        shape = rng.choice(("talk", "talk", "daemon"))
    return Fault(
        run=run,
        actor=actor,
        kind=kind,
        shape=shape,
        step=step,
        failpoint=failpoint,
        after_ms=int(rng.triangular(0, 400, 60)),
        target=rng.choice(TARGETS.get(actor, ("",))),
        restarts=rng.choice((0, 5)) if actor in (USER, SUPERVISOR) else 5,
        seed=seed,
    )


def _is_in(pair: tuple[str, str], only: Collection[str]) -> bool:
    if any(word in pair[0] or word in pair[1] for word in only):
        return True
    actor, kind = pair
    return kind == KILL_AT_STEP and not set(only).isdisjoint(_steps(actor, kind))


def _steps(actor: str, kind: str) -> list[str]:
    process = failpoints.WORKER if actor == WORKER else failpoints.SERVER
    found = [step for step, at in failpoints.STEPS.items() if at.process == process]
    if kind == ERROR:
        return [step for step in found if step not in _WITHOUT_IO]
    return [step for step in found if kind != STOP_AT_STEP or step in _STOPS]


def _failpoint(rng: random.Random, step: str, kind: str) -> str:
    action = {KILL_AT_STEP: "kill", ERROR: "error", STOP_AT_STEP: "stop"}[kind]
    subject = rng.choice(_SUBJECTS.get(step, ("",)))
    nth = rng.randint(1, 3) if step in _OFTEN and not subject else 1
    return f"{step}:{action}{subject}@{nth}"
