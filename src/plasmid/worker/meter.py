"""Adds up what a try uses, look by look, so that its totals and peaks outlive the worker."""

from __future__ import annotations

from typing import Final

import msgspec

from plasmid.domain import metrics, totals
from plasmid.engines import engine
from plasmid.network.traffic import Traffic

# In less time than this, processor time that is counted in ticks says nothing of cores.
_CORES_SPAN_MS_MIN: Final = 500


class State(msgspec.Struct):
    """What is known of a try's use, kept in its folder.

    `base` is what had been used when the counting began. `last` is the newest reading.
    `told` says that the last lines of the log were written.
    """

    room: metrics.Room
    began_ms: int
    base: engine.Usage
    last: metrics.Reading
    peak_memory_bytes: int = 0
    peak_cached_bytes: int = 0
    peak_disk_bytes: int | None = None
    peak_cores: float = 0.0
    knows_io: bool = False
    kernel_peak_bytes: int = 0
    out_of_memory_kills: int = 0
    told: bool = False


class Meter:
    """The use of one try, of which `look` is told all that there is to know."""

    def __init__(self, traffic: Traffic, state: State) -> None:
        self.state = state
        self._traffic = traffic
        # What an earlier worker has relayed.
        self._received_bytes = state.last.network_in_bytes - traffic.received_bytes
        self._sent_bytes = state.last.network_out_bytes - traffic.sent_bytes

    @classmethod
    def begin(
        cls, room: metrics.Room, traffic: Traffic, usage: engine.Usage, *, now_ms: int
    ) -> Meter:
        """Return the meter of a try that is about to start."""
        last = metrics.Reading(at_ms=now_ms)
        return cls(traffic, State(room=room, began_ms=now_ms, base=usage, last=last))

    def look(self, usage: engine.Usage, now_ms: int) -> metrics.Reading:
        """Take in what has been used by now, and return that."""
        state, before = self.state, self.state.last
        now = metrics.Reading(
            at_ms=max(now_ms, before.at_ms),
            cpu_user_ms=max(before.cpu_user_ms, usage.cpu_user_ms - state.base.cpu_user_ms),
            cpu_system_ms=max(before.cpu_system_ms, usage.cpu_system_ms - state.base.cpu_system_ms),
            disk_busy_ms=max(before.disk_busy_ms, usage.disk_busy_ms - state.base.disk_busy_ms),
            memory_bytes=usage.memory_bytes,
            disk_used_bytes=usage.disk_used_bytes or 0,
            network_in_bytes=self._received_bytes + self._traffic.received_bytes,
            network_out_bytes=self._sent_bytes + self._traffic.sent_bytes,
            read_bytes=_grown(before.read_bytes, usage.read_bytes, state.base.read_bytes),
            written_bytes=_grown(
                before.written_bytes, usage.written_bytes, state.base.written_bytes
            ),
            reads=max(before.reads, usage.reads - state.base.reads),
            writes=max(before.writes, usage.writes - state.base.writes),
        )
        self._note_peaks(usage, before, now)
        state.last = now
        return now

    def _note_peaks(
        self, usage: engine.Usage, before: metrics.Reading, now: metrics.Reading
    ) -> None:
        state = self.state
        state.peak_memory_bytes = max(state.peak_memory_bytes, usage.memory_bytes)
        state.peak_cached_bytes = max(state.peak_cached_bytes, usage.cached_bytes)
        state.kernel_peak_bytes = max(state.kernel_peak_bytes, usage.peak_memory_bytes or 0)
        state.out_of_memory_kills = max(state.out_of_memory_kills, usage.out_of_memory_kills)
        state.knows_io = state.knows_io or usage.read_bytes is not None
        if usage.disk_used_bytes is not None:
            state.peak_disk_bytes = max(state.peak_disk_bytes or 0, usage.disk_used_bytes)
        span_ms = now.at_ms - before.at_ms
        if span_ms >= _CORES_SPAN_MS_MIN:
            cores = (_cpu_ms(now) - _cpu_ms(before)) / span_ms
            state.peak_cores = max(state.peak_cores, min(cores, float(state.room.cores)))


def totals_of(state: State) -> totals.Totals:
    """Return what a try has used in all.

    The kernel's own peak of memory counts the content of files too, and looks miss short peaks: the
    truth is at least what was seen, and what the kernel saw without the most that files had.
    """
    last, room = state.last, state.room
    span_ms = last.at_ms - state.began_ms
    cpu_ms = _cpu_ms(last)
    average = cpu_ms / max(1, span_ms)
    return totals.Totals(
        measured_ms=span_ms,
        cores=room.cores,
        cpu_ms=cpu_ms,
        average_cores=round(min(average, float(max(1, room.cores))), 3),
        peak_cores=round(max(state.peak_cores, min(average, float(room.cores))), 3),
        peak_memory_bytes=_peak_memory_bytes(state),
        memory_limit_bytes=room.memory_bytes,
        peak_disk_bytes=state.peak_disk_bytes,
        disk_limit_bytes=room.disk_bytes,
        disk_read_bytes=last.read_bytes if state.knows_io else None,
        disk_write_bytes=last.written_bytes if state.knows_io else None,
        network_in_bytes=last.network_in_bytes,
        network_out_bytes=last.network_out_bytes,
        out_of_memory_kills=state.out_of_memory_kills,
    )


def _peak_memory_bytes(state: State) -> int | None:
    files = 0 if state.out_of_memory_kills else state.peak_cached_bytes
    return max(state.peak_memory_bytes, state.kernel_peak_bytes - files) or None


def _cpu_ms(reading: metrics.Reading) -> int:
    return reading.cpu_user_ms + reading.cpu_system_ms


def _grown(before: int, now: int | None, base: int | None) -> int:
    """Return by how much a counter has grown; it never falls, and what is not told stays."""
    return max(before, (now or 0) - (base or 0))
