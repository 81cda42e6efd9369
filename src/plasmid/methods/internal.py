"""What workers call: take jobs, keep logs, report ends. Same registry, own prefix.

A report names the worker and the try; one that does not hold the job's lease is refused with
InvalidState, so a worker that was thought dead can change nothing (reliability I2).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import errors, failures, job_states
from plasmid.domain.assignments import (
    Acknowledged,
    Assignment,
    Doors,
    Finished,
    HeldTry,
    LogBatch,
    LogCursors,
    SyncReply,
    SyncRequest,
)
from plasmid.domain.failures import JobFailure
from plasmid.domain.job_states import State
from plasmid.executions import holds, settle
from plasmid.logs import topics
from plasmid.logs.store import Lines, MalformedLinesError, NoLogSpaceError, OutOfPlaceError
from plasmid.metadata import jobs
from plasmid.metadata.rows import JobRow
from plasmid.methods import assigning, moments, ssh_logins
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access
from plasmid.methods.wire import job as job_wire

SYNCS_A_LEASE: Final = 3
DOORS: Final = "doors"


class HolderOfTry(msgspec.Struct):
    """Which worker asks, about which try."""

    worker: str
    attempt: int


@method("/internal/worker/sync", access=Access.WORKER, body=SyncRequest, mode=Mode.OWN)
async def sync(call: Call, target: None, body: SyncRequest) -> SyncReply:
    """Tell a worker what to start and stop, as soon as there is something, or after its wait."""
    _require_own_name(call, body.worker)
    platform = call.platform
    with platform.changes.subscribe(settle.worker_topic(body.worker)) as news:
        wait_ms_max = platform.backend.lease_ms // SYNCS_A_LEASE
        deadline_ms = call.now_ms + min(body.wait_ms, wait_ms_max)
        # Not again while it waits: a worker that was stopped meanwhile gives no sign of life.
        platform.backend.seen(body.worker, call.now_ms)
        # The call of a worker that was killed goes on here: what it took, nobody would have.
        turn = platform.backend.next_turn(body.worker)
        while True:
            now_ms = platform.now_ms()
            async with platform.backend.deciding(body.worker):
                if not platform.backend.is_turn(body.worker, turn):
                    return SyncReply([], [])
                reply = await _news_for(call, body, now_ms)
            reply.is_last = platform.is_stopping
            if _has_news(reply) or now_ms >= deadline_ms:
                return reply
            await news.wait((deadline_ms - now_ms) / 1000)


def _has_news(reply: SyncReply) -> bool:
    return bool(reply.start or reply.stop or reply.is_last or reply.ssh is not None)


async def _news_for(call: Call, body: SyncRequest, now_ms: int) -> SyncReply:
    held = {(entry.job, entry.attempt) for entry in body.holding}
    mine = await jobs.find_of_worker(call.platform.database.reader, body.worker)
    lasting = (State.RUNNING, State.DEBUG_HOLD)
    wanted = {(row.id, row.attempt) for row in mine if row.state in lasting}
    stop = [entry for entry in body.holding if (entry.job, entry.attempt) not in wanted]
    stop += [
        HeldTry(row.id, row.attempt)
        for row in mine
        if row.state != State.RUNNING and (row.id, row.attempt) not in held
    ]
    start: list[Assignment] = []
    for row in mine:
        if row.state == State.RUNNING and (row.id, row.attempt) not in held:
            assignment = await assigning.assign(call.platform, row, now_ms)
            if assignment is not None:
                start.append(assignment)
    logins = await ssh_logins.granted(
        call.platform, call.platform.database.reader, mine, body.holding
    )
    return SyncReply(start, stop, ssh=ssh_logins.news(logins, body.ssh))


def _require_own_name(call: Call, worker: str) -> None:
    if call.actor.worker != worker:
        raise errors.PermissionDenied(f"This token is not that of the worker {worker}")


def _require_lease(call: Call, target: JobRow, worker: str, attempt: int) -> None:
    _require_own_name(call, worker)
    if target.worker != worker or target.attempt != attempt:
        raise errors.InvalidState(
            f"{worker} does not hold try {attempt} of {target.id}"
            f" (try {target.attempt} is with {target.worker})"
        )


def _require_unfinished(call: Call, target: JobRow, body: LogBatch | HolderOfTry | Doors) -> None:
    """Refuse also the holder of a try that is over: its log is sealed."""
    _require_lease(call, target, body.worker, body.attempt)
    if target.state not in job_states.WITH_WORKER:
        raise errors.InvalidState(f"try {body.attempt} of {target.id} is over")


@method(
    "/internal/job-xxxx/log", access=Access.WORKER, body=LogBatch, mode=Mode.OWN, has_lines=True
)
async def keep_log(call: Call, target: JobRow, body: LogBatch) -> Acknowledged:
    """Keep a batch of lines; they are durable when this answers."""
    _require_unfinished(call, target, body)
    call.platform.backend.seen(body.worker, call.now_ms)
    try:
        lines = Lines.of(body.entries) + Lines.read(body.lines)
        await call.platform.logs.append_lines(
            target.id, body.attempt, lines=lines, cursors=body.cursors, since=body.since
        )
    except (MalformedLinesError, OutOfPlaceError) as error:
        raise errors.InvalidInput(str(error)) from error
    except NoLogSpaceError as error:
        raise errors.ServiceUnavailable(str(error)) from error
    call.platform.samples.note(target.id, body.attempt, lines)
    call.platform.changes.publish(topics.log(target.id))
    return Acknowledged(target.id)


@method("/internal/job-xxxx/logCursors", access=Access.WORKER, body=HolderOfTry)
async def log_cursors(call: Call, target: JobRow, body: HolderOfTry) -> LogCursors:
    """Return how far the log of a try is kept."""
    _require_unfinished(call, target, body)
    return LogCursors(await call.platform.logs.cursors(target.id, body.attempt))


@method("/internal/job-xxxx/doors", access=Access.WORKER, body=Doors, mode=Mode.WRITE)
async def doors(call: Call, target: JobRow, body: Doors) -> Acknowledged:
    """Keep where a try can be reached; what is empty stays as it was told before."""
    _require_unfinished(call, target, body)
    told = {
        "host": body.ssh_host,
        "sshPort": body.ssh_port,
        "sshHostKey": body.ssh_host_key,
        "appSocket": body.app_socket,
    }
    kept = target.settings.get(DOORS) or {}
    still = {name: kept[name] for name in kept if not (body.ssh_closed and name in job_wire.OF_SSH)}
    known = still | {name: value for name, value in told.items() if value}
    if known != kept:
        settings = target.settings | {DOORS: known}
        await jobs.update_job(call.tx, target.id, {"settings": settings})
    return Acknowledged(target.id)


@method("/internal/job-xxxx/finished", access=Access.WORKER, body=Finished, mode=Mode.WRITE)
async def finished(call: Call, target: JobRow, body: Finished) -> Acknowledged:
    """Take how a try ended; the same report again changes nothing."""
    _require_lease(call, target, body.worker, body.attempt)
    if target.state not in job_states.WITH_WORKER:
        return Acknowledged(target.id)
    call.platform.samples.forget(target.id)
    async with moments.of(call) as moment:
        target = await _with_seen(call, target, body)
        if target.state in (State.TERMINATING, State.DEBUG_HOLD):
            await settle.stopped(moment, target)
        elif body.failure_reason is not None:
            await settle.fail(moment, target, _failure(body))
        else:
            await settle.succeed(moment, target, _output(body))
    return Acknowledged(target.id)


@method("/internal/job-xxxx/held", access=Access.WORKER, body=Finished, mode=Mode.WRITE)
async def held(call: Call, target: JobRow, body: Finished) -> Acknowledged:
    """Hold a job whose try has failed for debugging; the same report again changes nothing.

    `finished` follows once the sandbox is gone.
    """
    _require_lease(call, target, body.worker, body.attempt)
    if target.state == State.RUNNING:
        async with moments.of(call) as moment:
            target = await _with_seen(call, target, body)
            until_ms = call.now_ms + call.platform.limits.hold_ms_max
            await holds.begin(moment, target, _failure(body), until_ms=until_ms)
    return Acknowledged(target.id)


async def _with_seen(call: Call, target: JobRow, body: Finished) -> JobRow:
    """Return the job with what its worker has seen of the try, which is kept."""
    seen = {
        "peakMemoryBytes": body.peak_memory_bytes,
        "notEnforced": body.not_enforced,
        "usage": msgspec.to_builtins(body.usage),
    }
    if body.ran is not None:
        seen["ran"] = msgspec.to_builtins(body.ran)
    settings = target.settings | {name: value for name, value in seen.items() if value}
    if settings != target.settings:
        await jobs.update_job(call.tx, target.id, {"settings": settings})
    return msgspec.structs.replace(target, settings=settings)


def _failure(body: Finished) -> JobFailure:
    is_known = body.failure_reason in failures.ALL
    reason = body.failure_reason if is_known else failures.APP_INTERNAL_ERROR
    return JobFailure(reason or failures.APP_INTERNAL_ERROR, body.failure_message or "")


def _output(body: Finished) -> dict[str, Any]:
    return body.output if body.output is not None else {}
