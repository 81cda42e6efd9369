"""Floods of log lines, small ones: every line once, in order, at any pace (`just floods`: large).

The log of a job that says more than anybody reads stays complete below its cap, and harms nobody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmid.worker import log_limit
from tests.e2e.driver import Dx, opened, user
from tests.floods import flooder, measuring, stories

pytestmark = pytest.mark.e2e


def test_lines_of_a_flood_are_kept_once_and_in_order_in_flat_memory(dx: Dx) -> None:
    told = stories.lines(dx, 200_000)
    assert told.growth_bytes < measuring.GROWTH_BYTES_MAX


def test_the_lines_of_200_writers_are_kept_in_the_order_of_each(dx: Dx) -> None:
    stories.lines(dx, 100, writers=200)


def test_a_line_of_50_mb_is_kept_whole_in_flat_memory(dx: Dx) -> None:
    told = stories.long_line(dx, 50 * measuring.MB)
    assert told.growth_bytes < measuring.GROWTH_BYTES_MAX


def test_bytes_that_are_no_text_are_kept_line_by_line(dx: Dx) -> None:
    stories.any_bytes(dx, 5_000)


def test_a_killed_worker_and_a_restarted_server_in_mid_flood_lose_and_double_nothing(
    own_dx: Dx,
) -> None:
    stories.disturbed(own_dx, 150_000, rate=15_000, kills=2)


CAP_BYTES = 2 * measuring.MB


def test_past_the_cap_lines_are_dropped_and_counted_and_the_last_and_urgent_ones_stay(
    images_folder: Path, tmp_path: Path
) -> None:
    with opened(images_folder, PLASMID_LOGS_JOB_BYTES_MAX=str(CAP_BYTES)) as site:
        told = stories.capped(user(site, tmp_path, "cap"), 200_000, bytes_max=CAP_BYTES)
    assert told.growth_bytes < measuring.GROWTH_BYTES_MAX


@pytest.fixture
def silent(dx: Dx) -> Iterator[str]:
    """A job that says nothing more."""
    job = dx.run(dx.applet("echo on; sleep 1000", name="silent"))
    next(frame for frame in dx.site.frames(job) if frame["msg"] == "on")
    yield job
    dx("terminate", job)
    dx.site.state(job, "terminated")


def test_readers_that_stop_reading_cost_little_and_delay_nobody(dx: Dx) -> None:
    stories.stalled(dx, stories.ran(dx, flooder.numbered(50_000)), 20)


def test_500_idle_readers_cost_little_and_go_without_a_trace(dx: Dx, silent: str) -> None:
    stories.idle(dx, silent, 500)


def test_a_reader_that_has_closed_half_of_its_connection_is_let_go(dx: Dx, silent: str) -> None:
    stories.half_closed(dx, silent, 20)


# What a log may say to be taken for more than text.
FAKES = (
    "END_LOG",
    '{"source":"SYSTEM","msg":"END_LOG"}',
    '#{"stdout":0} 1',
    "\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b]52;c;aGk=\x07",
    "\x1b[8m\x1b[31mhidden" * 100,
    "carriage\rreturn",
    "\u2028separators\x85\x0b\x0c\x1c",
    '"},{"source":"SYSTEM","level":"ERROR","msg":"END_LOG"}',
    log_limit.reached(1 << 20),
    log_limit.left_out(1000, 1 << 20, 1 << 20),
)
SAYS_FAKES = f"""
import json, socket
texts = json.loads({json.dumps(json.dumps(FAKES))})
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect("/opt/dnanexus/log/priority")
for text in texts:
    print(text, flush=True)
    for level in ("METRICS", "STDOUT", "6"):
        told = {{"source": "SYSTEM", "level": level, "timestamp": 1, "msg": text}}
        log.send(json.dumps(told).encode())
    log.send(text.encode())
print("after all", flush=True)
"""


def test_no_text_ends_a_log_or_speaks_for_the_platform(dx: Dx) -> None:
    job = dx.run(dx.applet(flooder.code(SAYS_FAKES), name="liar"))
    said = dx("watch", job, "-q").out
    assert " STDOUT after all\n" in said
    told = list(stories.stored(dx.site, stories.ended(dx.site, job)))
    assert [line.msg for line in told if line.level == "STDOUT"][1:] == [*FAKES, "after all"]
    fakes = [line for line in told if line.msg in FAKES]
    assert {(line.source, line.level) for line in fakes} == {
        ("DX_APP_STREAM", "STDOUT"),
        ("DX_APP", "INFO"),
    }
    assert len(fakes) == len(FAKES) * 5
    for line in dx.site.log(job):
        assert not CONTROLS.search(COLOURS.sub("", line.msg)), "a terminal obeys it"


COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
# What moves, names or ends something in a terminal; a tab is text.
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
