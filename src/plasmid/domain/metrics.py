"""What a job uses at a moment, and the forms in which it is read (`dx watch --metrics-help`).

A sample is kept as one line of the job's log: source SYSTEM, level METRICS, and as its message one
JSON object with the names of the CSV columns; besides them `span` and what was moved in it, since
a reader that begins anywhere cannot subtract.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain.assignments import LogEntry

LEVEL: Final = "METRICS"
SOURCE: Final = "SYSTEM"
SETTING: Final = "detailedJobMetrics"
DETAILED_MS: Final = 1000
CSV: Final = "csv"

_MIB: Final = 1 << 20
_GIB: Final = 1 << 30


class Room(msgspec.Struct, frozen=True):
    """What a job may use: the limits of its try."""

    cores: int
    memory_bytes: int
    disk_bytes: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has used since it was started, and uses at this moment."""

    at_ms: int
    cpu_user_ms: int = 0
    cpu_system_ms: int = 0
    disk_busy_ms: int = 0
    memory_bytes: int = 0
    disk_used_bytes: int = 0
    network_in_bytes: int = 0
    network_out_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a job used in the `span` ms up to a reading; percentages are of its cores.

    `moved` are the bytes of the span: received, sent, read, written; and its numbers of reads and
    writes.
    """

    cpu_count: int
    cpu_usage_user: float
    cpu_usage_system: float
    cpu_usage_iowait: float
    cpu_usage_idle: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_used_bytes: int
    disk_total_bytes: int
    network_out_bytes: int
    network_in_bytes: int
    disk_read_bytes: int
    disk_write_bytes: int
    disk_read_ops_count: int
    disk_write_ops_count: int
    span: int
    moved: tuple[int, int, int, int, int, int]


_COLUMNS: Final = tuple(
    field.encode_name
    for field in msgspec.structs.fields(Sample)
    if field.name not in ("span", "moved")
)


def between(before: Reading, after: Reading, room: Room) -> Sample:
    """Return the sample of two readings.

    A job waits for I/O as far as its disk had work while its cores had none: one core for as long
    as the disk was busy.
    """
    span = max(1, after.at_ms - before.at_ms)
    cores = max(1, room.cores)
    whole = span * cores
    user = _share(after.cpu_user_ms - before.cpu_user_ms, whole)
    system = min(_share(after.cpu_system_ms - before.cpu_system_ms, whole), 100 - user)
    left = 100 - user - system
    waiting = min(_share(after.disk_busy_ms - before.disk_busy_ms, whole), left)
    return Sample(
        cpu_count=cores,
        cpu_usage_user=round(user, 2),
        cpu_usage_system=round(system, 2),
        cpu_usage_iowait=round(waiting, 2),
        cpu_usage_idle=round(100 - round(user, 2) - round(system, 2) - round(waiting, 2), 2),
        memory_used_bytes=after.memory_bytes,
        memory_total_bytes=room.memory_bytes,
        disk_used_bytes=after.disk_used_bytes,
        disk_total_bytes=room.disk_bytes,
        network_out_bytes=after.network_out_bytes,
        network_in_bytes=after.network_in_bytes,
        disk_read_bytes=after.read_bytes,
        disk_write_bytes=after.written_bytes,
        disk_read_ops_count=after.reads,
        disk_write_ops_count=after.writes,
        span=span,
        moved=(
            max(0, after.network_in_bytes - before.network_in_bytes),
            max(0, after.network_out_bytes - before.network_out_bytes),
            max(0, after.read_bytes - before.read_bytes),
            max(0, after.written_bytes - before.written_bytes),
            max(0, after.reads - before.reads),
            max(0, after.writes - before.writes),
        ),
    )


def _share(part: int, whole: int) -> float:
    return min(100.0, max(0.0, 100 * part / whole))


def entry(sample: Sample, at_ms: int) -> LogEntry:
    """Return the line of a job's log that keeps a sample."""
    return LogEntry(at_ms, SOURCE, LEVEL, msgspec.json.encode(sample).decode())


def kept(line: LogEntry) -> Sample | None:
    """Return the sample that a line of a log keeps; None if it keeps none."""
    if line.level != LEVEL or line.source != SOURCE:
        return None
    try:
        return msgspec.json.decode(line.msg, type=Sample)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def text(sample: Sample) -> str:
    """Return the message of a METRICS line as the client shows it between the others."""
    received, sent, read, written, *_ = (_rate(part, sample) / _MIB for part in sample.moved)
    *_, reads, writes = (_rate(part, sample) for part in sample.moved)
    return (
        f"** CPU usr/sys/idl/wai: {sample.cpu_usage_user:.0f}/{sample.cpu_usage_system:.0f}/"
        f"{sample.cpu_usage_idle:.0f}/{sample.cpu_usage_iowait:.0f}% ({sample.cpu_count} cores) * "
        f"Memory: {_memory(sample)} * "
        f"Storage: {sample.disk_used_bytes / _GIB:.0f}/{sample.disk_total_bytes / _GIB:.0f}GB * "
        f"Net: {received:.0f}↓/{sent:.0f}↑MBps * "
        f"Disk: r/w {read:.0f}/{written:.0f} MBps iops r/w {reads:.0f}/{writes:.0f}"
    )


def machine_line(sample: Sample, free_bytes: int) -> str:
    """Return the INFO line on resources that people look for in every log (contract G.4)."""
    received, sent, *_ = (_rate(part, sample) / _MIB for part in sample.moved)
    used = sample.cpu_usage_user + sample.cpu_usage_system
    return (
        f"CPU: {used:.0f}% ({sample.cpu_count} cores) * Memory: {_memory(sample)} * "
        f"Storage: {free_bytes // _GIB}GB free * Net: {received:.0f}↓/{sent:.0f}↑MBps"
    )


def _memory(sample: Sample) -> str:
    return f"{sample.memory_used_bytes / _MIB:.0f}/{sample.memory_total_bytes / _MIB:.0f}MB"


def _rate(part: int, sample: Sample) -> float:
    return part * 1000 / sample.span


def csv_header() -> str:
    """Return the first line of the CSV form: the client prints only what it is sent."""
    return ",".join(("timestamp", *_COLUMNS))


def csv(sample: Sample, at_ms: int) -> str:
    """Return a sample as a line of the CSV form."""
    return ",".join(map(str, (at_ms, *columns(sample).values())))


def columns(sample: Sample) -> dict[str, Any]:
    """Return the columns of the CSV form in their order, but for the time."""
    found = msgspec.to_builtins(sample)
    return {name: found[name] for name in _COLUMNS}


def messages(line: LogEntry, form: str | None, *, is_first: bool) -> list[str]:
    """Return what a reader is sent for a METRICS line; nothing if it keeps no sample.

    `form` is the reader's `metricsFormat`: with "csv", the first line comes with the header.
    """
    sample = kept(line)
    if sample is None:
        return []
    if form != CSV:
        return [text(sample)]
    return [*([csv_header()] if is_first else []), csv(sample, line.timestamp)]


def is_wanted(settings: dict[str, Any]) -> bool:
    """Say whether readers of a job's log see its samples: its run has asked for them."""
    return bool(settings.get(SETTING))


def interval_ms(settings: dict[str, Any], usual_ms: int) -> int:
    """Return how often a job is measured."""
    return min(DETAILED_MS, usual_ms) if is_wanted(settings) else usual_ms
