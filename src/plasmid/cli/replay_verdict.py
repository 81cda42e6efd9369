"""Whether a replay did what the original did, and where two runs differ."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.domain import links, replays
from plasmid.domain.replays import Line, Object, Outcome

LAST_LINES: Final = 20
_DIFFERENCES_MAX: Final = 60
_TEXT_BYTES_MAX: Final = 1 << 24
_MIB: Final = 1024 * 1024
_STREAMS: Final = (("STDOUT", "standard output"), ("STDERR", "standard error"))
# What runtime/start.sh says; before it come the lines of what was installed, if it was.
_BEGUN: Final = re.compile(r" running \(job ID job-[0-9A-Za-z]{24}\)\Z")
# What is another in each run of the same code.
_VARYING: Final = (
    (re.compile(r"\bRequest (Time|ID)=[\w.-]+"), r"Request \1"),
    (re.compile(r"\b(file|record|applet|job|container|project)-[0-9A-Za-z]{24}\b"), r"\1-ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "TIME"),
    (re.compile(r"\b1[5-9]\d{8}(?:\d{3})?\b"), "TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds?)\b"), "SECONDS"),
    (re.compile(r"\b0x[0-9a-f]{6,16}\b"), "ADDRESS"),
    (re.compile(r"(?<=: line )\d+: +\d+(?= )"), "PID"),
    (re.compile(r"\bpid[ =:]*\d+\b", re.IGNORECASE), "PID"),
)


class Run(msgspec.Struct, frozen=True):
    """How a run ended, what it put out, and where the bytes of that are."""

    outcome: Outcome
    objects: Mapping[str, Object]
    contents: Mapping[str, Path]


def normalised(text: str) -> str:
    """Return a text without what is another in each run: ids, times, addresses."""
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text


def differences(then: Outcome, now: Outcome) -> list[str]:
    """Return in what two runs differ, one line or block each; [] if they ended alike."""
    found = []
    ended = {"restarted": "failed", "debug_hold": "failed"}
    states = [ended.get(outcome.state, outcome.state) for outcome in (then, now)]
    if states[0] != states[1]:
        found.append(f"state: {states[0]} then, {states[1]} now")
    if then.reason != now.reason:
        found.append(f"reason: {then.reason or 'none'} then, {now.reason or 'none'} now")
    if normalised(then.message) != normalised(now.message):
        told = (("then: ", then.message), ("now:  ", now.message))
        found += [f"message {when}{message}" for when, message in told if message]
    codes = (then.exit_code, now.exit_code)
    if None not in codes and codes[0] != codes[1]:
        found.append(f"exit code: {codes[0]} then, {codes[1]} now")
    return found + [block for level, name in _STREAMS for block in _lines(then, now, level, name)]


def _lines(then: Outcome, now: Outcome, level: str, name: str) -> Iterator[str]:
    """Give how the last lines of a stream differ, if they do."""
    tails = [_tail(outcome.lines, level) for outcome in (then, now)]
    if tails[0] == tails[1]:
        return
    told = difflib.unified_diff(tails[0], tails[1], "then", "now", n=1, lineterm="")
    yield f"last lines of {name}:"
    for line in itertools.islice(told, _DIFFERENCES_MAX):
        yield f"  {line}"


def _tail(lines: list[Line], level: str) -> list[str]:
    """Return the last lines of a stream since the job's code began, or as many as are known."""
    own = [normalised(line.text) for line in _own(lines) if line.level == level]
    return own[-LAST_LINES:]


def _own(lines: list[Line]) -> list[Line]:
    starts = [index for index, line in enumerate(lines) if _BEGUN.search(line.text)]
    return lines[starts[-1] :] if starts else lines


def alike(then: Outcome, now: Outcome) -> str:
    """Return the line that says that a replay did as the original did."""
    what = "was done" if now.state == "done" else f"failed with {now.reason}"
    code = f", exit code {now.exit_code}" if now.exit_code else ""
    count = min(LAST_LINES, len(_own(then.lines)))
    lines = f"; the last {count} lines are the same" if count else "; neither wrote anything"
    return f"as the original did, the replay {what}{code}{lines}"


def beside(then: Run, now: Run) -> list[str]:
    """Return how a run of changed code differs from the original: also outputs, time and memory."""
    found = differences(then.outcome, now.outcome)
    found += list(_outputs(then, now))
    found.append(
        f"time: {_seconds(then.outcome)} then, {_seconds(now.outcome)} now; "
        f"peak memory: {_memory(then.outcome)} then, {_memory(now.outcome)} now"
    )
    return found


def _seconds(outcome: Outcome) -> str:
    return "unknown" if outcome.seconds is None else f"{outcome.seconds:.1f} s"


def _memory(outcome: Outcome) -> str:
    peak = outcome.peak_memory_bytes
    return "unknown" if peak is None else f"{peak / _MIB:.0f} MiB"


def _outputs(then: Run, now: Run) -> Iterator[str]:
    old, new = then.outcome.output or {}, now.outcome.output or {}
    for field in sorted({*old, *new}):
        if field not in new:
            yield f"output {field}: only then"
        elif field not in old:
            yield f"output {field}: only now"
        else:
            yield from _values(field, old[field], new[field], then=then, now=now)


def _values(field: str, old: Any, new: Any, *, then: Run, now: Run) -> Iterator[str]:
    """Give how two values of a field differ; files by what is in them."""
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"output {field}: {len(old)} values then, {len(new)} now"
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _values(f"{field}[{index}]", one, other, then=then, now=now)
        return
    files = (
        then.objects.get(links.linked_id(old) or ""),
        now.objects.get(links.linked_id(new) or ""),
    )
    if files[0] is not None and files[1] is not None:
        yield from _files(field, files[0], files[1], then=then, now=now)
    elif links.is_link(old) and links.is_link(new):
        if files[0] is None and (links.linked_id(old) or "").startswith("file-"):
            yield f"output {field}: {links.linked_id(old)} is gone, so there is nothing beside it"
    elif old != new:
        yield f"output {field}: {_short(old)} then, {_short(new)} now"


def _files(field: str, old: Object, new: Object, *, then: Run, now: Run) -> Iterator[str]:
    if old.name != new.name:
        yield f"output {field}: named {old.name} then, {new.name} now"
    if old.sha256 and new.sha256 and old.sha256 == new.sha256:
        return
    if not (old.sha256 and new.sha256):
        if old.size_bytes != new.size_bytes:
            yield f"output {field}: {old.size_bytes} bytes then, {new.size_bytes} bytes now"
        return
    yield (
        f"output {field} ({new.name}): {old.size_bytes} bytes, SHA-256 {old.sha256[:12]} then; "
        f"{new.size_bytes} bytes, SHA-256 {new.sha256[:12]} now"
    )
    yield from first_difference(then.contents[old.id], now.contents[new.id])


def first_difference(old: Path, new: Path) -> Iterator[str]:
    """Give the first lines in which two texts differ; nothing for what is no text."""
    try:
        with old.open(encoding="utf-8") as one, new.open(encoding="utf-8") as other:
            pairs = itertools.zip_longest(_limited(one), _limited(other))
            for number, (was, is_now) in enumerate(pairs, 1):
                if was != is_now:
                    yield f"  line {number} then: {_short(was)}"
                    yield f"  line {number} now:  {_short(is_now)}"
                    return
    except UnicodeDecodeError:
        return


def _limited(file: Any) -> Iterator[str]:
    """Give the lines of a text, up to a size; a long one in pieces."""
    read = 0
    while read < _TEXT_BYTES_MAX and (line := file.readline(1 << 16)):
        read += len(line)
        yield line.rstrip("\n")


def _short(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 160 else f"{text[:157]}..."


def told(outcome: Outcome) -> str:
    """Return how a run ended in one line."""
    if outcome.state == "done":
        return "done"
    return f"{outcome.reason or outcome.state}: {replays.without_command(outcome.message)}"
