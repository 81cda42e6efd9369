"""One story: a platform, machines and clients, faults for a while, then none, then the verdict."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from typing import Any, Final

import msgspec

from plasmid.auth import tokens
from plasmid.domain.access import Actor
from plasmid.integrity import checking
from plasmid.metadata.rows import UserRow
from plasmid.methods import built_in_apps
from tests.simulation import analyses, workflows
from tests.simulation.machines import Journal, Worker
from tests.simulation.network import REPLY, REQUEST, Network, Weather
from tests.simulation.people import Client
from tests.simulation.platform import Server
from tests.simulation.timeline import Timeline, at_once

USERS: Final = ("ann", "ben", "cid")
WORKERS: Final = ("east", "west", "north")
SUBMIT_EVERY_MS: Final = 60
RACES: Final = 0.02
OPEN_MAX: Final = 60
LAST_JOBS_MS: Final = 60_000
TIMEOUT_MINUTES: Final = 2
SOURCE: Final = "json_extract(settings, '$.outputReusedFrom')"
# After the faults have ended: the longest timeout for each try that is left, and a minute.
BOUND_MS: Final = 12 * (TIMEOUT_MINUTES + 1) * 60_000
RUN_SPEC: Final[dict[str, Any]] = {
    "interpreter": "bash",
    "code": "",
    "distribution": "Ubuntu",
    "release": "24.04",
    "version": "0",
    "timeoutPolicy": {"*": {"minutes": TIMEOUT_MINUTES}},
}
POLICIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"executionPolicy": {"restartOn": {"*": 3}}, "restartableEntryPoints": "all"},
    {"executionPolicy": {"restartOn": {"*": 2}}, "restartableEntryPoints": "master"},
    {"executionPolicy": {"restartOn": {"UnresponsiveWorker": 9, "JMInternalError": 9}}},
)


COUNTS: Final = (
    "jobs", "tries", "reused", "analyses", "messages", "calls",
    "lost", "doubled", "stuck", "findings",
)  # fmt: skip


class Figures(msgspec.Struct):
    """What an episode counts, and what was wrong."""

    jobs: int = 0
    tries: int = 0
    reused: int = 0
    analyses: int = 0
    messages: int = 0
    calls: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    findings: int = 0
    states: Counter[str] = msgspec.field(default_factory=Counter)
    analysis_states: Counter[str] = msgspec.field(default_factory=Counter)
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: list[str] = []
    simulated_ms: int = 0

    def add(self, other: Figures) -> None:
        """Add the figures of another episode."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.simulated_ms += other.simulated_ms
        self.states.update(other.states)
        self.analysis_states.update(other.analysis_states)
        self.faults.update(other.faults)
        self.wrong += other.wrong


class Episode:
    """Everything of one story, from one seed."""

    def __init__(self, seed: str, jobs: int, *, is_hasty: bool = False) -> None:
        self.rng = random.Random(seed)
        self.jobs_wanted = jobs
        self.figures = Figures()
        self.timeline = Timeline()
        self.journal = Journal()
        self.network = Network(self.timeline, self._stream("network"), self.figures.faults)
        self.server = Server(self.timeline, self._stream("server"), self.figures.faults)
        self.network.platform = self.server
        self.workers = [self._make(Worker, name) for name in WORKERS]
        self.clients = [self._make(Client, name) for name in USERS]
        self._is_healing = False
        # Whether all is known as soon as anything is wrong: what is left then need not end.
        self._is_hasty = is_hasty
        self._submitted = 0
        at_once(self._set_up())

    def _stream(self, name: str) -> random.Random:
        """Return randomness of its own for a part: what one draws does not change another's."""
        return random.Random(f"{self.rng.random()} {name}")

    def _make(self, kind: Any, name: str) -> Any:
        return kind(
            name,
            network=self.network,
            timeline=self.timeline,
            rng=self._stream(name),
            journal=self.journal,
        )

    async def _set_up(self) -> None:
        database, now_ms = self.server.platform.database, self.timeline.now_ms
        async with database.transaction() as tx:
            for name in USERS:
                user = f"user-{name}"
                row = UserRow(user, name, name, "", f"{name}@example.com", user, None, now_ms)
                await tx.add(row)
            actors = {client.token: Actor(user=f"user-{client.name}") for client in self.clients}
            actors |= {worker.token: Actor(worker=worker.name) for worker in self.workers}
            for token, actor in actors.items():
                await tokens.add(tx, token, actor, now_ms=now_ms, expires_ms=None, label="")
            await built_in_apps.seed(tx, "user-ann", now_ms)

    # -------------------------------------------------------------------------------- the story

    def run(self) -> Figures:
        """Tell the story to its end and return the figures."""
        for worker in self.workers:
            worker.start()
        self._prepare()
        self._begin_faults()
        self.timeline.after(0, self._submit)
        self._until(lambda: self._submitted >= self.jobs_wanted, 24 * 3_600_000)
        self._until(lambda: False, LAST_JOBS_MS)
        self._heal()
        is_known = self._is_hasty and bool(self.server.broken)
        if not is_known:
            self._until(self._is_quiet, BOUND_MS)
        self._judge(is_over=not is_known)
        return self.figures

    def _prepare(self) -> None:
        for client in self.clients:
            body = {"name": client.name, "nonce": "project"}
            client.ask(
                "/project/new", body, lambda made, to=client: self._has_project(to, made["id"])
            )
        self._until(lambda: all(len(c.applets) == len(POLICIES) for c in self.clients), 60_000)
        for client in self.clients:
            client.make_workflows()
        made = workflows.COUNT
        self._until(lambda: all(len(c.workflows) == made for c in self.clients), 60_000)

    def _has_project(self, client: Client, project: str) -> None:
        client.project = project
        for number, policy in enumerate(POLICIES):
            body = {
                "project": project,
                "name": f"applet {number}",
                "runSpec": {**RUN_SPEC, **policy},
                "dxapi": "1.0.0",
                # its jobs run workflows, too
                "access": {"project": "CONTRIBUTE"},
                "nonce": f"applet {number}",
            }
            client.ask("/applet/new", body, lambda made: client.applets.append(made["id"]))

    def _submit(self) -> None:
        """Submit a tree now and then, as long as jobs are wanted; the queue stays short."""
        if self._submitted >= self.jobs_wanted:
            return
        [(known, open_ones)] = self.server.rows(
            "SELECT count(*), sum(state NOT IN ('done', 'failed', 'terminated')) FROM jobs"
        )
        self._submitted = known
        if (open_ones or 0) < OPEN_MAX:
            for client in self.clients:
                client.submit(f"{client.name} {self.timeline.now_ms}")
        self.timeline.after(SUBMIT_EVERY_MS * len(self.clients), self._submit)

    def _until(self, is_so: Any, limit_ms: int) -> None:
        end_ms = self.timeline.now_ms + limit_ms
        count = 0
        while self.timeline.now_ms < end_ms and self.timeline.step():
            count += 1
            if count % 64 == 0 and is_so():
                return

    # ------------------------------------------------------------------------------- the faults

    def _begin_faults(self) -> None:
        self.journal.watcher = self._race
        self.network.weather = Weather(drop=0.01, repeat=0.02, delay=0.01)
        self.server.crash_chance = 0.003
        for every_ms, fault in (
            (40_000, self._crash_server),
            (30_000, self._crash_worker),
            (30_000, self._freeze_worker),
            (90_000, self._lose_power),
            (30_000, self._cut_link),
            (120_000, self._swizzle),
            (120_000, self._jump_clock),
        ):
            self._again(every_ms, fault)

    def _again(self, every_ms: int, fault: Any) -> None:
        self.timeline.after(int(self.rng.expovariate(1 / every_ms)), self._fault, every_ms, fault)

    def _fault(self, every_ms: int, fault: Any) -> None:
        if not self._is_healing:
            self.figures.faults[fault.__name__.strip("_").replace("_", " ")] += 1
            fault()
            self._again(every_ms, fault)

    def _race(self, what: str, job: str) -> None:
        """Now and then terminate a job in the moment in which it does something else (F33)."""
        if self._is_healing or self.rng.random() > RACES:
            return
        found = self.server.rows(f"SELECT launched_by FROM jobs WHERE id = '{job}'")
        self.figures.faults[f"terminate at {what}"] += 1
        for client in self.clients:
            if found and found[0][0] == f"user-{client.name}":
                self.timeline.after(self.rng.randint(0, 15), client.terminate, job)

    def _crash_server(self) -> None:
        self.server.crash()

    def _crash_worker(self) -> None:
        worker = self.rng.choice(self.workers)
        worker.crash()
        self.timeline.after(self.rng.choice((100, 1_000, 5_000, 40_000)), worker.start)

    def _freeze_worker(self) -> None:
        worker = self.rng.choice(self.workers)
        if not worker.is_frozen:
            worker.freeze()
            self.timeline.after(self.rng.choice((5_000, 20_000, 60_000)), worker.thaw)

    def _lose_power(self) -> None:
        worker = self.rng.choice(self.workers)
        worker.lose_power()
        self.timeline.after(self.rng.randint(1_000, 60_000), worker.start)

    def _cut_link(self) -> None:
        end = self.rng.choice((*WORKERS, *USERS))
        ways = self.rng.choice(((REQUEST,), (REPLY,), (REQUEST, REPLY)))
        cut = {(end, way) for way in ways}
        self.network.cut |= cut
        self.timeline.after(self.rng.choice((1_000, 8_000, 40_000)), self._restore, cut)

    def _swizzle(self) -> None:
        """Cut all links one by one, and restore them in another order (F20)."""
        links = [(end, way) for end in (*WORKERS, *USERS) for way in (REQUEST, REPLY)]
        self.rng.shuffle(links)
        for number, link in enumerate(links):
            self.timeline.after(number * 700, self.network.cut.add, link)
        self.rng.shuffle(links)
        for number, link in enumerate(links):
            self.timeline.after(len(links) * 700 + number * 900, self._restore, {link})

    def _restore(self, links: set[tuple[str, str]]) -> None:
        self.network.cut -= links

    def _jump_clock(self) -> None:
        self.server.clock_offset_ms += self.rng.choice((-3_600_000, 3_600_000, -5_000, 86_400_000))

    def _heal(self) -> None:
        """End all faults; what was broken is started again."""
        self._is_healing = True
        self.network.weather = Weather()
        self.network.cut.clear()
        self.server.crash_chance = 0.0
        self.server.start()
        for worker in self.workers:
            worker.thaw()
            worker.start()

    def _is_quiet(self) -> bool:
        if any(worker.disk for worker in self.workers):
            return False
        [(open_ones,)] = self.server.rows(
            "SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'failed', 'terminated')"
        )
        return bool(open_ones == 0)

    # ------------------------------------------------------------------------------ the verdict

    def _judge(self, *, is_over: bool = True) -> None:
        figures = self.figures
        figures.messages = self.network.messages
        figures.calls = self.server.calls
        figures.simulated_ms = self.timeline.now_ms - 1_800_000_000_000
        figures.states.update(dict(self.server.rows("SELECT state, count(*) FROM jobs GROUP BY 1")))
        [(figures.jobs, figures.tries)] = self.server.rows(
            "SELECT count(*), sum(attempt + 1) FROM jobs"
        )
        figures.wrong += self.server.broken
        figures.findings += len(self.server.broken)
        if is_over:
            self._judge_stuck()
            self._judge_analyses()
        self._judge_lost()
        self._judge_doubled()
        self._judge_reused()
        self._judge_logs()
        self._judge_effects()
        found = at_once(self._fsck())
        figures.findings += len(found)
        figures.wrong += found

    def _wrong(self, kind: str, what: str) -> None:
        setattr(self.figures, kind, getattr(self.figures, kind) + 1)
        self.figures.wrong.append(what)

    def _judge_stuck(self) -> None:
        for job, state in self.server.rows(
            "SELECT id, state FROM jobs WHERE state NOT IN ('done', 'failed', 'terminated')"
        ):
            self._wrong("stuck", f"I14: {job} is still {state} long after the last fault")
        for worker in self.workers:
            for job, attempt in worker.disk:
                self._wrong("stuck", f"I8: try {attempt} of {job} is left on {worker.name}")

    def _judge_lost(self) -> None:
        every = "SELECT id FROM jobs UNION ALL SELECT id FROM analyses"
        present = {row[0] for row in self.server.rows(every)}
        for name, job in self.journal.acknowledged.items():
            if job not in present:
                self._wrong("lost", f"I1: {job} ({name}) was acknowledged and is not there")

    def _judge_doubled(self) -> None:
        # stages have the names of what they run
        named = " UNION ALL ".join(
            f"SELECT name FROM {table} WHERE parent_analysis IS NULL"
            for table in ("jobs", "analyses")
        )
        for name, count in self.server.rows(
            f"SELECT name, count(*) FROM ({named}) GROUP BY name HAVING count(*) > 1"
        ):
            self._wrong("doubled", f"I1: {count} executions were made for {name}")
        for (job, attempt), count in self.journal.started.items():
            if count > 1:
                self._wrong("doubled", f"I2: try {attempt} of {job} was started {count} times")
        for job, attempt, output in self.server.rows(
            f"SELECT id, attempt, output FROM jobs WHERE state = 'done' AND {SOURCE} IS NULL"
        ):
            made = self.journal.made.get((job, attempt))
            got = msgspec.json.decode(output or "{}").get("effect")
            if made is None or made["effect"] != got:
                self._wrong(
                    "doubled", f"I2: {job} is done in try {attempt} with the output of {got}"
                )

    def _judge_reused(self) -> None:
        """A job that did not run has what an equal one has put out that did."""
        reused = f"state = 'done' AND {SOURCE} IS NOT NULL"
        columns = f"id, {SOURCE}, executable, input, output"
        for job, source, *own in self.server.rows(f"SELECT {columns} FROM jobs WHERE {reused}"):
            self.figures.reused += 1
            ran = self.server.rows(
                "SELECT executable, input, output FROM jobs WHERE state = 'done'"
                f" AND started_running_ms IS NOT NULL AND id = '{source}'"
            )
            if [tuple(own)] != ran or any(held[0] == job for held in self.journal.started):
                self._wrong("doubled", f"I2: {job} is not what {source} was, or has run as well")

    def _judge_logs(self) -> None:
        logs = self.server.logs._entries
        for held, said in self.journal.said.items():
            kept = [entry.msg for entry in logs.get(held, [])]
            if kept != said[: len(kept)]:
                self._wrong("findings", f"I6: the log of {held} has {kept[:9]}, not {said[:9]}")
            elif held in self.journal.reported and len(kept) != len(said):
                self._wrong("findings", f"I6: the log of {held} ends after {len(kept)} lines")

    def _judge_effects(self) -> None:
        """What a tree of jobs that is done has put out is in its project.

        What the analysis of a job has put out was in the workspace of that.
        """
        for job, output in self.server.rows(
            "SELECT id, output FROM jobs WHERE state = 'done' AND parent_job IS NULL"
            " AND (root_execution = id OR root_execution LIKE 'analysis-%')"
        ):
            link = msgspec.json.decode(output or "{}").get("record")
            if link and not self.server.rows(
                f"SELECT 1 FROM placements p JOIN jobs j ON j.project = p.container"
                f" WHERE p.object = '{link['$dnanexus_link']}' AND j.id = '{job}'"
            ):
                self._wrong("lost", f"I3: {job} is done and its record is not in its project")

    def _judge_analyses(self) -> None:
        figures = self.figures
        counts = dict(self.server.rows("SELECT state, count(*) FROM analyses GROUP BY 1"))
        figures.analysis_states.update(counts)
        figures.analyses = sum(counts.values())
        for kind, what in analyses.look(self.server.rows):
            self._wrong(kind, what)

    async def _fsck(self) -> list[str]:
        stored = checking.Stored(
            picture=lambda: contextlib.nullcontext(self.server.platform.database.reader),
            blobs=self.server.blobs,
            logs=self.server.logs,
            now_ms=self.server.wall_ms,
        )
        found = await checking.look(stored)
        return [f"{one.invariant}: {one.subject} {one.detail}" for one in found]
