"""One flood each, of a size that is given; each checks all that was kept and says how it went."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from plasmid.domain.assignments import LogEntry
from tests.e2e.driver import Dx, Site, until
from tests.floods import checking, flooder, measuring, readers

SECONDS_MAX: Final = 3600.0


class Told(NamedTuple):
    """How a flood went."""

    lines: int
    seconds: float
    growth_bytes: int

    def row(self, what: str) -> str:
        """Return a row of a table."""
        pace, growth = self.lines / self.seconds, self.growth_bytes / measuring.MB
        return f"{what:<44} {self.lines:>11,} {self.seconds:>8.1f} {pace:>9,.0f} {growth:>+7.0f} MB"


def ran(dx: Dx, code: str) -> str:
    """Run a job to its good end and return its id."""
    job = dx.run(dx.applet(code, name="flood"))
    return ended(dx.site, job)


def ended(site: Site, job: str) -> str:
    """Wait for a job's good end."""
    site.state(job, "done", "failed", "terminated", seconds=SECONDS_MAX)
    found = site.describe(job)
    assert found["state"] == "done", (found["failureReason"], found["failureMessage"])
    return job


def stored(site: Site, job: str) -> Iterator[LogEntry]:
    """Give all lines of a job's only try."""
    return checking.stored(site.url, site.keys["user_token"], job)


def lines(dx: Dx, count: int, *, writers: int = 1, rate: int = 0) -> Told:
    """Let each writer say `count` lines, and a tenth of them on stderr."""
    memory, begun = measuring.Memory(dx.site), time.monotonic()
    job = ran(dx, flooder.numbered(count, writers=writers, rate=rate))
    seconds, growth_bytes = time.monotonic() - begun, memory.growth_bytes
    found = checking.Numbered().take(stored(dx.site, job))
    found.assert_whole(count, writers=writers)
    if rate:
        assert found.seconds < count / rate * 1.2 + 1, "the job was held up at that rate"
    return Told(sum(found.next.values()), seconds, growth_bytes)


def long_line(dx: Dx, size_bytes: int) -> Told:
    """Let a job say one line of that size."""
    memory, begun = measuring.Memory(dx.site), time.monotonic()
    job = ran(dx, flooder.code(flooder.LONG_LINE, size_bytes))
    seconds, growth_bytes = time.monotonic() - begun, memory.growth_bytes
    pieces = [0]
    digest, wanted = checking.line_digest(stored(dx.site, job), pieces)
    assert digest == wanted
    return Told(pieces[0], seconds, growth_bytes)


def any_bytes(dx: Dx, count: int) -> Told:
    """Let a job say lines of random bytes: what is no UTF-8 is shown as such."""
    memory, begun = measuring.Memory(dx.site), time.monotonic()
    job = ran(dx, flooder.code(flooder.SAYS_BYTES, count))
    told = Told(count, time.monotonic() - begun, memory.growth_bytes)
    wanted = [one.decode("utf-8", "replace") for one in flooder.any_bytes(count)]
    found = [entry.msg for entry in stored(dx.site, job) if entry.level == "STDOUT"]
    assert found[found.index(wanted[0]) : found.index("ENDED")] == wanted
    return told


def disturbed(dx: Dx, count: int, *, rate: int, kills: int) -> Told:
    """Kill the worker that often in the middle of a flood, and each time the server, too."""
    site, begun = dx.site, time.monotonic()
    job = dx.run(dx.applet(flooder.numbered(count, rate=rate), name="flood"))
    for number in range(kills):
        kept = count * (number + 1) // (kills + 2)
        until(lambda least=kept: size_of(site, job) > least * LINE_BYTES, SECONDS_MAX)  # type: ignore[misc]
        (worker,) = until(site.worker_pids)
        os.kill(worker, signal.SIGKILL)
        until(lambda dead=worker: site.worker_pids() not in ([], [dead]))  # type: ignore[misc]
        site.stop(signal.SIGKILL if number % 2 else signal.SIGTERM)
        site.start()
    ended(site, job)
    assert site.describe(job)["try"] == 0
    found = checking.Numbered().take(stored(site, job))
    found.assert_whole(count)
    return Told(sum(found.next.values()), time.monotonic() - begun, 0)


# What a line of 60 bytes takes in the store, at least.
LINE_BYTES: Final = 120


def size_of(site: Site, job: str) -> int:
    """Return the size of what is kept of a job's log."""
    return sum(path.stat().st_size for path in (site.data / "logs").glob(f"*/{job}.*"))


LAST: Final = 20
# What a capped log must have, whatever it drops.
SPEAKS_FIRST: Final = "dx-log-stream -l critical -s DX_APP <<< 'critical before'"
SPEAKS_LAST: Final = f"""
dx-log-stream -l critical -s DX_APP <<< 'critical after'
for n in $(seq {LAST}); do echo "last $n"; done
"""
DROPPED: Final = re.compile(r"(\d[\d,]*) (?:lines|messages)")


def capped(dx: Dx, count: int, *, bytes_max: int, width: int = 60) -> Told:
    """Let a job say far more than its log may hold, on a server that has that cap."""
    memory, begun = measuring.Memory(dx.site), time.monotonic()
    arguments = (count, 1, 0, width)
    code = flooder.code(flooder.LINES, *arguments, before=SPEAKS_FIRST, after=SPEAKS_LAST)
    job = ran(dx, code)
    told = Told(count + (count + 9) // 10, time.monotonic() - begun, memory.growth_bytes)
    found = checking.Numbered(may_lack=True).take(stored(dx.site, job))
    kept_bytes = size_of(dx.site, job)
    assert kept_bytes < 2 * bytes_max + CAP_SLACK_BYTES
    said = [entry.msg for entry in found.others]
    assert [text for text in said if text.startswith("last ")] == [
        f"last {n + 1}" for n in range(LAST)
    ]
    assert [text for text in said if text.startswith("critical ")] == [
        "critical before",
        "critical after",
    ]
    (marker,) = [entry for entry in found.others if DROPPED.search(entry.msg)]
    assert marker.source == "SYSTEM", marker
    dropped = DROPPED.search(marker.msg)
    assert dropped is not None
    left_out = int(dropped[1].replace(",", ""))
    assert found.count + left_out == told.lines, (found.count, left_out)
    return told


CAP_SLACK_BYTES: Final = measuring.MB
READER_BYTES_MAX: Final = 64 * 1024
# What a server takes for itself meanwhile: its collector lets it grow a little in any case.
OWN_BYTES_MAX: Final = 16 * measuring.MB


def stalled(dx: Dx, job: str, count: int, *, to_the_end: bool = False) -> Told:
    """Let that many readers ask for a long log and never read; who reads beside them gets it.

    With `to_the_end` half of them read a byte now and then, and all are waited for to be dropped.
    """
    site = dx.site
    wanted = [line.msg for line in site.log(job)]
    before, memory, begun = measuring.sockets(site), measuring.Memory(site), time.monotonic()
    with readers.crowd(site, job, count) as streams:
        assert [line.msg for line in site.log(job)] == wanted
        if to_the_end:
            until(lambda: are_dropped(site, streams[::2], before), DROPPED_SECONDS_MAX)
        growth_bytes = memory.growth_bytes
    grown_mb, allowed = growth_bytes / measuring.MB, count * READER_BYTES_MAX + OWN_BYTES_MAX
    assert growth_bytes < allowed, f"+{grown_mb:.0f} MB"
    until(lambda: measuring.sockets(site) <= before)
    return Told(len(wanted), time.monotonic() - begun, growth_bytes)


# A reader that takes nothing for a minute is dropped; some begin late.
DROPPED_SECONDS_MAX: Final = 200.0


def are_dropped(site: Site, sipping: list[socket.socket], before: int) -> bool:
    """Let some readers read a byte each; say whether the server has dropped all of them."""
    readers.sip(sipping)
    return measuring.sockets(site) <= before


def idle(dx: Dx, job: str, count: int) -> Told:
    """Let that many readers wait for a job that says nothing, and half as many say nothing."""
    site = dx.site
    before, memory, begun = measuring.sockets(site), measuring.Memory(site), time.monotonic()
    with readers.crowd(site, job, count), readers.crowd(site, job, count // 2, asks=False):
        assert measuring.sockets(site) >= before + count
        growth_bytes = memory.growth_bytes
    assert growth_bytes < count * 3 // 2 * READER_BYTES_MAX + OWN_BYTES_MAX
    until(lambda: measuring.sockets(site) <= before)
    return Told(count, time.monotonic() - begun, growth_bytes)


def half_closed(dx: Dx, job: str, count: int) -> None:
    """Let that many readers say that they will say nothing more: they are let go."""
    site = dx.site
    before = measuring.sockets(site)
    with readers.crowd(site, job, count) as streams:
        for stream in streams:
            stream.shutdown(socket.SHUT_WR)
        until(lambda: measuring.sockets(site) <= before)
