"""How a try ended: the decision table of contract I.3 and F.9, as one pure function."""

from __future__ import annotations

import re
import signal
from typing import Any, Final

import msgspec

from plasmid.domain import failures

SETUP: Final = "setup"
RUNNING: Final = "running"
KILLED: Final = 128 + 9
ROOT: Final = "/"
# A disk of its own has a few per cent less than it was asked for.
_INEXACT: Final = 0.1
_SIGNALS: Final = {number.value: number.name for number in signal.Signals}

# Reasons that an app may give itself.
APPS_OWN_REASONS: Final = frozenset(
    {
        failures.APP_ERROR,
        failures.APP_INTERNAL_ERROR,
        failures.APP_INSUFFICIENT_RESOURCE_ERROR,
    }
)

# What programs say when memory or disk has run out.
_SHORTAGE = re.compile(
    r"MemoryError|Cannot allocate memory|std::bad_alloc|[Oo]ut of memory|OutOfMemoryError"
    r"|No space left on device|Disk quota exceeded"
)


class Full(msgspec.Struct, frozen=True):
    """A file system of the job in which there was no room: for bytes, or for more names."""

    place: str
    size_bytes: int = 0
    of_names: bool = False


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a sandbox has ended.

    The texts are those of the files in it, None where there is none; `unreadable` says why the
    output could not be read.
    """

    exit_code: int
    out_of_memory: bool = False
    full: tuple[Full, ...] = ()
    processes_full: bool = False
    processes_max: int = 0
    timed_out: bool = False
    timeout_ms: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    lost_writes: bool = False
    phase: str = RUNNING
    setup_failure: str | None = None
    error_text: str | None = None
    output_text: str | None = None
    unreadable: str | None = None


def decide(ending: Ending) -> dict[str, Any]:
    """Return the job's output; raises JobFailure with the reason and what to do about it."""
    if ending.timed_out:
        raise failures.JobFailure(
            failures.JOB_TIMEOUT_EXCEEDED,
            f"The job ran longer than its timeout of {_duration(ending.timeout_ms)}: raise "
            "timeoutPolicy of the executable (the site's [jobs] timeout_ms_max is the most), or "
            "give it an instance type with more cores",
        )
    if ending.lost_writes:
        raise failures.JobFailure(
            failures.APP_INSUFFICIENT_RESOURCE_ERROR,
            "The disk of the machine itself ran full while the job was writing, so not all that it "
            "wrote is there: free some, and run the job again",
        )
    if ending.exit_code == 0:
        return _output(ending)
    shortage = _shortage(ending)
    if ending.phase == SETUP:
        raise shortage or _setup_failure(ending)
    raise _app_failure(ending, shortage)


def _output(ending: Ending) -> dict[str, Any]:
    """Return job_output.json; a missing file is an empty output (contract M.3)."""
    if ending.unreadable is not None:
        raise failures.JobFailure(failures.OUTPUT_ERROR, ending.unreadable)
    if ending.output_text is None:
        return {}
    try:
        output = msgspec.json.decode(ending.output_text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise failures.JobFailure(
            failures.OUTPUT_ERROR,
            f"job_output.json is not valid JSON: {error}; write it with dx-jobutil-add-output or "
            "a JSON library",
        ) from error
    if not isinstance(output, dict):
        raise failures.JobFailure(
            failures.OUTPUT_ERROR,
            "job_output.json is not a JSON object: write {} if there is no output",
        )
    return output


def _shortage(ending: Ending) -> failures.JobFailure | None:
    """Return the failure for want of memory or disk, if one of them had run out."""
    if ending.out_of_memory:
        limit = f" of {ending.memory_bytes // (1024 * 1024)} MiB" if ending.memory_bytes else ""
        message = f"The job used up its memory{limit}: ask for an instance type with more memory"
    elif ending.full:
        message = _full_message(ending, ending.full[0])
    else:
        return None
    return failures.JobFailure(failures.APP_INSUFFICIENT_RESOURCE_ERROR, message)


def _full_message(ending: Ending, full: Full) -> str:
    if full.place != ROOT:
        size = f" of {full.size_bytes // (1024 * 1024)} MiB" if full.size_bytes else ""
        return (
            f"The job filled {full.place}, a file system{size} in its memory: write to /tmp, or "
            "ask for an instance type with more memory"
        )
    size = f" of {ending.disk_bytes // 10**9} GB" if ending.disk_bytes else ""
    where = "(/ with all that is written below it, /tmp and /home/dnanexus too)"
    if abs(full.size_bytes - ending.disk_bytes) > ending.disk_bytes * _INEXACT and full.size_bytes:
        return (
            f"The disk that the job had here is full {where}: it has {full.size_bytes // 10**9} GB "
            f"in all, and not those of its instance type{size}; free some on this machine, or run "
            "the job on a larger one"
        )
    if full.of_names:
        return (
            f"The job wrote as many files as its disk{size} can hold {where}: write fewer and "
            "larger ones, or ask for an instance type with more storage"
        )
    return f"The job used up its disk{size} {where}: ask for an instance type with more storage"


def _hint(ending: Ending, shortage: failures.JobFailure | None) -> str:
    """Return what else was found, to be added to a message."""
    if shortage is not None:
        return f" ({shortage.message})"
    if ending.processes_full:
        return (
            f" (The job was refused a process or thread, as it had {ending.processes_max}: start "
            "fewer at once)"
        )
    return ""


def _setup_failure(ending: Ending) -> failures.JobFailure:
    message = ending.setup_failure or (
        f"The set-up of the sandbox ended with code {ending.exit_code} before the job's own code "
        "began: see the job's log"
    )
    return failures.JobFailure(failures.EXECUTION_ERROR, message.strip())


def _app_failure(ending: Ending, shortage: failures.JobFailure | None) -> failures.JobFailure:
    """Return why the app failed: what it says itself, unless memory or disk says it better."""
    own = _own_failure(ending.error_text)
    if own is None:
        if shortage is not None:
            told = "" if ending.exit_code == KILLED else f" ({_how_it_ended(ending)})"
            return failures.JobFailure(shortage.reason, shortage.message + told)
        message = f"{_how_it_ended(ending)}: see the job's log{_hint(ending, shortage)}"
        return failures.JobFailure(failures.APP_INTERNAL_ERROR, message)
    # An app that raises AppError has decided so; an unexpected error after the memory ran out was
    # most likely caused by that.
    relabelled = _SHORTAGE.search(own.message) or (
        shortage is not None and own.reason == failures.APP_INTERNAL_ERROR
    )
    is_own_word = own.reason == failures.APP_ERROR and not relabelled
    message = own.message if is_own_word else own.message + _hint(ending, shortage)
    reason = failures.APP_INSUFFICIENT_RESOURCE_ERROR if relabelled else own.reason
    return failures.JobFailure(reason, message)


def _own_failure(error_text: str | None) -> failures.JobFailure | None:
    """Return what job_error.json says; None if there is none or it is of no use."""
    try:
        error = msgspec.json.decode(error_text or "")["error"]
        reason, message = error["type"], error["message"]
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError):
        return None
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    if reason not in APPS_OWN_REASONS:
        reason = failures.APP_INTERNAL_ERROR
    return failures.JobFailure(reason, message)


def _how_it_ended(ending: Ending) -> str:
    if ending.exit_code - 128 in _SIGNALS:
        name = _SIGNALS[ending.exit_code - 128]
        return f"The app was ended by signal {ending.exit_code - 128} ({name})"
    return f"The app exited with non-zero exit status {ending.exit_code}"


def _duration(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"
