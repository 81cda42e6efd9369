"""Measurements of a job in the client's words: `dx watch --metrics-help` is the measure."""

from __future__ import annotations

import msgspec
import pytest

from plasmid.domain import metrics
from plasmid.domain.assignments import LogEntry

MIB, GIB = 1 << 20, 1 << 30
# The client's own example, and the columns in the client's order.
EXAMPLE = (
    "** CPU usr/sys/idl/wai: 24/11/1/64% (4 cores) * Memory: 1566/31649MB * Storage: 19/142GB * "
    "Net: 10↓/0↑MBps * Disk: r/w 20/174 MBps iops r/w 8/1300"
)
COLUMNS = (
    "timestamp cpuCount cpuUsageUser cpuUsageSystem cpuUsageIowait cpuUsageIdle memoryUsedBytes "
    "memoryTotalBytes diskUsedBytes diskTotalBytes networkOutBytes networkInBytes diskReadBytes "
    "diskWriteBytes diskReadOpsCount diskWriteOpsCount"
)
ROOM = metrics.Room(4, 31649 * MIB, 142 * GIB)
BEFORE = metrics.Reading(
    at_ms=1000, network_in_bytes=5, read_bytes=7 * MIB, written_bytes=MIB, reads=10, writes=1
)
AFTER = metrics.Reading(
    at_ms=3000,
    cpu_user_ms=1920,
    cpu_system_ms=880,
    disk_busy_ms=5120,
    memory_bytes=1566 * MIB,
    disk_used_bytes=19 * GIB,
    network_in_bytes=5 + 20 * MIB,
    network_out_bytes=900,
    read_bytes=47 * MIB,
    written_bytes=349 * MIB,
    reads=26,
    writes=2601,
)
SAMPLE = metrics.between(BEFORE, AFTER, ROOM)


def test_a_metrics_line_is_the_clients_example_to_the_letter() -> None:
    assert metrics.text(SAMPLE) == EXAMPLE


def test_csv_has_the_clients_columns_with_totals_since_the_start() -> None:
    assert metrics.csv_header() == ",".join(COLUMNS.split())
    assert metrics.csv(SAMPLE, 1678883024000) == (
        f"1678883024000,4,24.0,11.0,64.0,1.0,{1566 * MIB},{31649 * MIB},{19 * GIB},{142 * GIB},"
        f"900,{5 + 20 * MIB},{47 * MIB},{349 * MIB},26,2601"
    )


def test_the_line_for_people_is_that_of_the_platform() -> None:
    line = metrics.machine_line(SAMPLE, 79 * GIB + 5)
    assert (
        line == "CPU: 35% (4 cores) * Memory: 1566/31649MB * Storage: 79GB free * Net: 10↓/0↑MBps"
    )


def test_the_shares_of_a_processor_are_rounded_to_two_places_and_make_a_hundred() -> None:
    after = metrics.Reading(at_ms=3000, cpu_user_ms=1, cpu_system_ms=1, disk_busy_ms=1)
    sample = metrics.between(metrics.Reading(at_ms=0), after, metrics.Room(1, 1, 1))
    assert (sample.cpu_usage_user, sample.cpu_usage_idle) == (0.03, 99.91)


@pytest.mark.parametrize(("user", "system"), [(50_000, 0), (0, 50_000), (30_000, 30_000)])
def test_counters_that_run_ahead_never_make_more_than_all_cores(user: int, system: int) -> None:
    after = metrics.Reading(at_ms=10_000, cpu_user_ms=user, cpu_system_ms=system, disk_busy_ms=9)
    sample = metrics.between(metrics.Reading(at_ms=0), after, ROOM)
    shares = sample.cpu_usage_user, sample.cpu_usage_system, sample.cpu_usage_iowait
    assert sum(shares) + sample.cpu_usage_idle == pytest.approx(100)
    assert min(*shares, sample.cpu_usage_idle) >= 0


def test_two_readings_of_the_same_moment_say_nothing_strange() -> None:
    sample = metrics.between(BEFORE, BEFORE, metrics.Room(0, 0, 0))
    assert metrics.text(sample).startswith("** CPU usr/sys/idl/wai: 0/0/100/0% (1 cores) ")


def test_a_line_of_the_log_keeps_a_sample() -> None:
    line = metrics.entry(SAMPLE, 77)
    assert (line.timestamp, line.source, line.level) == (77, "SYSTEM", "METRICS")
    assert metrics.kept(line) == SAMPLE


@pytest.mark.parametrize(
    "line",
    [
        LogEntry(1, "SYSTEM", "INFO", metrics.entry(SAMPLE, 1).msg),
        LogEntry(1, "DX_APP", "METRICS", metrics.entry(SAMPLE, 1).msg),
        LogEntry(1, "SYSTEM", "METRICS", "** CPU usr/sys/idl/wai: 0/0/100/0%"),
        LogEntry(1, "SYSTEM", "METRICS", '{"cpuCount":4}'),
    ],
)
def test_what_only_looks_like_a_sample_is_none(line: LogEntry) -> None:
    assert metrics.kept(line) is None
    assert metrics.messages(line, None, is_first=True) == []


def test_the_csv_header_goes_before_the_first_sample_only() -> None:
    line = metrics.entry(SAMPLE, 5)
    assert metrics.messages(line, "csv", is_first=True) == [
        metrics.csv_header(),
        metrics.csv(SAMPLE, 5),
    ]
    assert metrics.messages(line, "csv", is_first=False) == [metrics.csv(SAMPLE, 5)]
    assert metrics.messages(line, "text", is_first=True) == [EXAMPLE]
    assert metrics.messages(line, None, is_first=False) == [EXAMPLE]


@pytest.mark.parametrize(
    ("settings", "usual_ms", "expected"),
    [
        ({}, 60_000, (False, 60_000)),
        ({"detailedJobMetrics": False}, 60_000, (False, 60_000)),
        ({"detailedJobMetrics": True}, 60_000, (True, 1000)),
        ({"detailedJobMetrics": True}, 500, (True, 500)),
    ],
)
def test_a_run_that_asks_for_details_is_measured_every_second(
    settings: dict[str, object], usual_ms: int, expected: tuple[bool, int]
) -> None:
    found = metrics.is_wanted(settings), metrics.interval_ms(settings, usual_ms)
    assert found == expected


def test_a_sample_is_small() -> None:
    assert len(msgspec.json.encode(SAMPLE)) < 600
