"""What a try uses is added up, look by look, also by one worker after another."""

from __future__ import annotations

import msgspec

from plasmid.domain import metrics
from plasmid.engines import engine
from plasmid.network.traffic import Traffic
from plasmid.worker import meter

MIB = 1 << 20
ROOM = metrics.Room(4, 1024 * MIB, 10_000 * MIB)
# A loop device that others had before: its counters begin anywhere.
BASE = engine.Usage(cpu_user_ms=20, read_bytes=500, written_bytes=700, reads=5, writes=7)


def begun(traffic: Traffic | None = None) -> meter.Meter:
    return meter.Meter.begin(ROOM, traffic or Traffic(), BASE, now_ms=1000)


def taken_over(before: meter.Meter) -> meter.Meter:
    """Return what the next worker makes of what the one before has kept."""
    kept = msgspec.json.decode(msgspec.json.encode(before.state), type=meter.State)
    return meter.Meter(Traffic(), kept)


def test_only_what_came_since_the_start_counts() -> None:
    made = begun()
    usage = engine.Usage(cpu_user_ms=1020, read_bytes=1500, written_bytes=700, reads=6, writes=7)
    reading = made.look(usage, 2000)
    assert (reading.cpu_user_ms, reading.read_bytes, reading.written_bytes) == (1000, 1000, 0)
    assert (reading.reads, reading.writes) == (1, 0)


def test_bytes_of_the_network_go_on_where_the_worker_before_has_left_them() -> None:
    traffic = Traffic()
    made = begun(traffic)
    traffic.receive(100)
    traffic.send(10)
    made.look(BASE, 2000)
    later = taken_over(made)
    later._traffic.receive(5)
    reading = later.look(BASE, 3000)
    assert (reading.network_in_bytes, reading.network_out_bytes) == (105, 10)


def test_peaks_and_totals_outlive_the_worker() -> None:
    made = begun()
    big = engine.Usage(
        cpu_user_ms=3020, memory_bytes=700 * MIB, disk_used_bytes=9 * MIB, read_bytes=500
    )
    made.look(big, 2000)
    later = taken_over(made)
    later.look(engine.Usage(cpu_user_ms=3520, memory_bytes=MIB, disk_used_bytes=1), 3000)
    found = meter.totals_of(later.state)
    assert found.peak_memory_bytes == 700 * MIB
    assert found.peak_disk_bytes == 9 * MIB
    assert (found.cpu_ms, found.measured_ms) == (3500, 2000)
    assert (found.average_cores, found.peak_cores) == (1.75, 3.0)


def test_a_peak_between_two_looks_is_what_the_kernel_saw_without_the_content_of_files() -> None:
    made = begun()
    made.look(
        engine.Usage(memory_bytes=MIB, cached_bytes=30 * MIB, peak_memory_bytes=400 * MIB), 2000
    )
    assert meter.totals_of(made.state).peak_memory_bytes == 370 * MIB


def test_a_job_that_reads_many_files_does_not_seem_to_need_all_memory() -> None:
    made = begun()
    full = engine.Usage(memory_bytes=50 * MIB, cached_bytes=970 * MIB, peak_memory_bytes=1024 * MIB)
    made.look(full, 2000)
    assert meter.totals_of(made.state).peak_memory_bytes == 54 * MIB


def test_a_job_that_ran_out_of_memory_has_used_all_of_it() -> None:
    made = begun()
    killed = engine.Usage(
        memory_bytes=MIB,
        cached_bytes=500 * MIB,
        peak_memory_bytes=1024 * MIB,
        out_of_memory_kills=1,
    )
    made.look(killed, 2000)
    found = meter.totals_of(made.state)
    assert (found.peak_memory_bytes, found.out_of_memory_kills) == (1024 * MIB, 1)


def test_counters_that_fall_back_take_nothing_away() -> None:
    made = begun()
    made.look(engine.Usage(cpu_user_ms=1020, read_bytes=1500), 2000)
    reading = made.look(engine.Usage(cpu_user_ms=20), 1500)
    assert (reading.at_ms, reading.cpu_user_ms, reading.read_bytes) == (2000, 1000, 1000)


def test_what_is_not_told_stays_unknown() -> None:
    made = meter.Meter.begin(ROOM, Traffic(), engine.Usage(), now_ms=1000)
    made.look(engine.Usage(), 2000)
    found = meter.totals_of(made.state)
    assert found.peak_memory_bytes is None
    assert found.peak_disk_bytes is None
    assert (found.disk_read_bytes, found.disk_write_bytes) == (None, None)


def test_processor_time_of_a_moment_makes_no_peak_of_cores() -> None:
    made = begun()
    made.look(engine.Usage(cpu_user_ms=60), 1010)
    assert made.state.peak_cores == 0
