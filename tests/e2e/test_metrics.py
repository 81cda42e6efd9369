"""What a job uses is measured, shown as the client asks, and told at its end."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.e2e.driver import Dx, Ended, until

pytestmark = pytest.mark.e2e

MIB: Final = 1 << 20
TINY: Final = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}
HELD_BYTES: Final = 300 * MIB
WRITTEN_BYTES: Final = 32 * MIB
UPLOADED_BYTES: Final = 3_000_000
# Three seconds of one processor and memory, then bytes to its disk and to the platform.
WORK: Final = f"""
main() {{
  python3 -c '
import time
held = bytearray({HELD_BYTES})
end = time.time() + 3
while time.time() < end or time.process_time() < 1.5: pass
'
  dd if=/dev/zero of=/tmp/written bs=1M count={WRITTEN_BYTES // MIB} oflag=direct
  head -c {UPLOADED_BYTES} /dev/urandom | dx upload - --brief --wait
}}
"""
TEXT: Final = re.compile(
    r"METRICS \*\* CPU usr/sys/idl/wai: \d+/\d+/\d+/\d+% \(1 cores\) \* Memory: \d+/1741MB \* "
    r"Storage: \d+/\d+GB \* Net: \d+↓/\d+↑MBps \* Disk: r/w \d+/\d+ MBps iops r/w \d+/\d+$",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def ended(dx: Dx) -> Ended:
    """A job whose run has asked for detailed metrics."""
    applet = dx.applet(WORK, name="works", run=TINY)
    job = dx.id("run", applet, "--detailed-job-metrics", "--yes")
    return dx.site.ended(job)


def test_metrics_are_between_the_lines_unless_they_are_left_out(dx: Dx, ended: Ended) -> None:
    job = ended.describe["id"]
    assert len(TEXT.findall(dx("watch", job).out)) >= 3
    assert "METRICS" not in dx("watch", job, "--metrics", "none").out
    only = dx("watch", job, "-q", "-l", "METRICS", "--no-job-info").out.splitlines()
    assert only
    assert all(" METRICS ** CPU " in line for line in only)


def test_csv_has_a_header_and_totals_that_grow(dx: Dx, ended: Ended) -> None:
    head, *rows = dx("watch", ended.describe["id"], "--metrics", "csv").out.splitlines()
    names = head.split(",")
    assert (names[0], names[-1], len(names)) == ("timestamp", "diskWriteOpsCount", 16)
    found = [dict(zip(names, row.split(","), strict=True)) for row in rows]
    assert len(found) >= 3
    stamps = [int(row["timestamp"]) for row in found]
    assert stamps == sorted(stamps)
    assert max(float(row["cpuUsageUser"]) for row in found) > 5
    shares = ("User", "System", "Iowait", "Idle")
    for row in found:
        assert sum(float(row[f"cpuUsage{name}"]) for name in shares) == pytest.approx(100)
    last = found[-1]
    assert WRITTEN_BYTES <= int(last["diskWriteBytes"]) < 2 * WRITTEN_BYTES
    assert UPLOADED_BYTES < int(last["networkOutBytes"]) < 1.2 * UPLOADED_BYTES
    assert int(last["networkInBytes"]) > 1000


def test_the_end_tells_what_was_used_in_describe_and_log(ended: Ended) -> None:
    used = ended.describe["plasmid"]["usage"]
    assert HELD_BYTES <= used["peakMemoryBytes"] < 1.2 * HELD_BYTES
    assert used["memoryLimitBytes"] > 1600 * MIB
    assert WRITTEN_BYTES <= used["peakDiskBytes"] < 2 * WRITTEN_BYTES
    assert used["cpuMs"] > 1400
    assert 0.1 < used["averageCores"] <= used["peakCores"] <= 1
    assert UPLOADED_BYTES < used["networkOutBytes"] < 1.2 * UPLOADED_BYTES
    last = ended.said("INFO")[-1]
    assert re.match(
        r"Used at most 0\.[34] of 1\.7 GiB memory \((1\d|2[01]) %\), \d\.\d+ of \d+ GB disk, ", last
    )
    assert re.search(
        r"of 1 core on average \(peak \d\.\d+\); read .*, wrote 3\d MB, received ", last
    )


def test_who_did_not_ask_sees_no_metrics_but_the_totals(dx: Dx) -> None:
    ended = dx.ran("main() { :; }", run=TINY)
    assert "METRICS" not in {line.level for line in ended.log}
    assert ended.describe["plasmid"]["usage"]["cores"] == 1
    assert ended.said("INFO")[-1].startswith("Used at most ")


def test_a_running_job_shows_its_newest_measurement(dx: Dx) -> None:
    job = dx.run(dx.applet("main() { sleep 100; }", run=TINY), detailedJobMetrics=True)
    shown = until(lambda: dx.site.describe(job).get("plasmid", {}).get("metrics"))
    assert shown["memoryTotalBytes"] > 1600 * MIB
    dx("terminate", job)
    dx.site.state(job, "terminated")
    assert set(dx.site.describe(job)["plasmid"]) == {"usage"}


def test_a_job_that_ran_out_of_memory_is_told_what_would_do(dx: Dx) -> None:
    greedy = "main() { python3 -c 'held = bytes(1) * (3 << 30); print(held.count(1))'; }"
    ended = dx.ran(greedy, run=TINY)
    assert ended.describe["failureReason"] == "AppInsufficientResourceError"
    used = ended.describe["plasmid"]["usage"]
    assert used["outOfMemoryKills"] >= 1
    assert used["peakMemoryBytes"] == pytest.approx(used["memoryLimitBytes"], rel=0.05)
    assert any("More memory would help: mem2_hdd2_x1 has" in line for line in ended.said("INFO"))
