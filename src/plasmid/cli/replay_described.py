"""Read what a server says of a job, its executable and its objects as parts of a capture."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.cli.trouble import CommandError
from plasmid.domain import fitting, instance_types, job_states, replays, reuse, run_spec
from plasmid.domain.placement import Machine
from plasmid.domain.replays import Capture, Container, Line, Object, Outcome, Run

BAD_INPUT: Final = 2
_OVER: Final = ("done", "failed", "terminated", "restarted", "debug_hold")


def require_replayable(described: dict[str, Any]) -> None:
    """Raise CommandError for a try that never ran, or that runs."""
    job, state = described["id"], described["state"]
    source = described.get(reuse.SOURCE)
    if source is not None:
        raise CommandError(
            f"{job} never ran: its outputs are reused from {source}; replay that: plasmid replay"
            f" {source}",
            BAD_INPUT,
        )
    if "startedRunning" not in described and job_states.is_terminal(state):
        why = described.get("failureMessage")
        raise CommandError(
            f"{job} (try {described['try']}) never started, it is {state}"
            + (f" ({why})" if why else "")
            + f": there is nothing to replay; run it again: dx run --clone {job}",
            BAD_INPUT,
        )
    if state not in _OVER:
        raise CommandError(f"{job} is {state}: wait for its end (dx wait {job})", BAD_INPUT)


def run_of(described: dict[str, Any]) -> Run:
    """Return what a job was."""
    wanted = instance_types.get(described["instanceType"])
    fitted = (described.get("plasmid") or {}).get("fitted") or {}
    given = replays.Limits(
        cores=fitted.get("cores", wanted.cores),
        memory_bytes=fitted.get("memoryBytes", wanted.memory_bytes),
        disk_bytes=fitted.get("diskBytes", wanted.disk_bytes),
    )
    return Run(
        job=described["id"],
        attempt=described["try"],
        name=described["name"],
        function=described["function"],
        executable=described["executable"],
        executable_name=described["executableName"],
        project=described["project"],
        workspace=described["workspace"],
        folder=described["folder"],
        region=described["region"],
        bill_to=described["billTo"],
        launched_by=described["launchedBy"],
        instance_type=described["instanceType"],
        given=given,
        timeout_ms=described["timeout"],
        input=described["input"] or {},
        run_input=described["runInput"] or {},
        tags=described["tags"],
        properties=described["properties"],
        network=described["networkAccess"],
        details=described["details"],
        system_requirements=described["systemRequirements"],
        resources=described.get("resources") or "",
        project_cache=described.get("projectCache") or "",
        parent=described.get("parentJob") or "",
    )


def outcome(described: dict[str, Any], lines: list[Line]) -> Outcome:
    """Return how a try ended; its last lines are not part of a describe."""
    ran = described.get("ran") or {}
    held = (described.get("plasmid") or {}).get("hold") or {}
    stopped = described.get("stoppedRunning")
    seconds = None if stopped is None else (stopped - described["startedRunning"]) / 1000
    reason = described.get("failureReason") or held.get("failureReason") or ""
    message = described.get("failureMessage") or held.get("failureMessage") or ""
    return Outcome(
        state=described["state"],
        reason=reason,
        message=replays.without_command(message),
        exit_code=ran.get("exitCode"),
        output=described.get("output"),
        seconds=seconds,
        peak_memory_bytes=ran.get("peakMemoryBytes"),
        lines=lines,
    )


def object_of(object_id: str, described: dict[str, Any], role: str) -> Object:
    """Return a data object where it was found."""
    return Object(
        id=object_id,
        role=role,
        container=described["project"],
        name=described["name"],
        folder=described["folder"],
        hidden=described["hidden"],
        types=described["types"],
        details=described.get("details"),
        properties=described.get("properties") or {},
        tags=described["tags"],
        links=described.get("links") or [],
        media=described.get("media"),
        size_bytes=described.get("size") or 0,
        body=described if object_id.startswith("applet-") else {},
    )


def placed(item: Object, containers: list[Container], run: Run) -> Object:
    """Return an object in its project; what lay elsewhere the job saw in its workspace."""
    known = {container.id for container in containers} | {run.resources}
    if item.container in known:
        return item
    return msgspec.structs.replace(item, container=run.workspace)


def bundled(spec: dict[str, Any], region: str) -> list[str]:
    """Return the ids of what an executable brings along in a region."""
    by_region = spec.get("bundledDependsByRegion") or {}
    return run_spec.bundled_ids(
        {"bundledDepends": by_region.get(region) or spec.get("bundledDepends")}
    )


def remedy_of_input(run: Run) -> str:
    """Return what to do about an input that is gone."""
    if run.parent:
        return (
            "what a sub-job was given goes with its tree; replay the job that started it: "
            f"{replays.command(run.parent)}, or run the tree with --delay-workspace-destruction"
        )
    return "upload it again and run the job anew; no replay can be had without it"


def lacks(run: Run, machine: Machine) -> list[str]:
    """Return what this machine gives the job less than it had, one line each."""
    wanted = instance_types.get(run.instance_type)
    then = msgspec.structs.replace(
        wanted,
        cores=run.given.cores,
        memory_bytes=run.given.memory_bytes,
        disk_bytes=run.given.disk_bytes,
    )
    return [f"this machine is smaller: {line}" for line in fitting.notes(then, machine)]


def other_ground(capture: Capture, ran: dict[str, Any]) -> list[str]:
    """Return in what the layers of installed packages are not those that the original had."""
    now = ran.get("layers", [])
    if not capture.image_digest or not ran or now == capture.layers:
        return []
    remedy = "`plasmid lock` fixes those of an applet"
    return [f"the layers of packages are others than they were, versions may differ; {remedy}"]
