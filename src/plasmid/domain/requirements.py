"""What a runSpec and a run may both ask for: machines, restarts, time (contract E.2, F.2).

Each `check_*` returns what it was given, with absent as empty, or raises InvalidInput that names
what is wrong. `run_spec` combines what the two ask for.
"""

from __future__ import annotations

from typing import Any, Final

from plasmid.domain import errors, failures, instance_types, keys

RESTARTS_MAX: Final = 9
RESTART_REASONS: Final = (*sorted(failures.ALL), "SpotInstanceInterruption", "*")
ON_FAILURE: Final = ("failStage", "failAllStages")
TIME_UNITS_MS: Final = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000}
CLUSTER: Final = "clusterSpec"
SELECTOR: Final = "instanceTypeSelector"

Layer = dict[str, dict[str, Any]]


def check_system_requirements(
    requirements: object, *, where: str = "systemRequirements", at_run: bool = False
) -> Layer:
    """Return `{entry point or "*": what it needs}`.

    A run (`at_run`) has to name an instance type: it may not give a selection of them.
    """
    if requirements is None:
        return {}
    body = keys.hash_itself(requirements, where)
    for entry_point, wanted in body.items():
        at = f"{where}.{entry_point}"
        _check_requirement(keys.hash_itself(wanted, at), at)
        if at_run and wanted.get(SELECTOR) is not None:
            raise errors.InvalidInput(f"{SELECTOR} cannot be specified at run, as in {at}")
    return body


def _check_requirement(wanted: dict[str, Any], where: str) -> None:
    if wanted.get("instanceType") is not None:
        instance_types.get(wanted["instanceType"], where=where)
    for other in ("instanceType", CLUSTER):
        if wanted.get(SELECTOR) is not None and wanted.get(other) is not None:
            raise errors.InvalidInput(f"{other} and {SELECTOR} of {where} exclude each other")
    selector = keys.hash_of(wanted, SELECTOR, where)
    if selector is not None:
        _check_selector(selector, f"{where}.{SELECTOR}")
    cluster = keys.hash_of(wanted, CLUSTER, where) or {}
    keys.integer(cluster, "initialInstanceCount", f"{where}.{CLUSTER}", minimum=1)
    for key in ("fpgaDriver", "nvidiaDriver"):
        keys.string(wanted, key, where)


def _check_selector(selector: dict[str, Any], where: str) -> None:
    allowed = keys.strings(selector, "allowedInstanceTypes", where)
    if not allowed:
        raise keys.refusal(
            "allowedInstanceTypes", where, "an array with at least one instance type"
        )
    for name in allowed:
        instance_types.get(name, "allowedInstanceTypes", where)


def check_by_executable(
    by_executable: object, *, where: str = "systemRequirementsByExecutable"
) -> dict[str, Layer]:
    """Return a run's `{executable or "*": systemRequirements}`."""
    if by_executable is None:
        return {}
    return {
        executable: check_system_requirements(layer, where=f"{where}.{executable}", at_run=True)
        for executable, layer in keys.hash_itself(by_executable, where).items()
    }


def check_execution_policy(policy: object, *, where: str = "executionPolicy") -> dict[str, Any]:
    """Return `{restartOn, maxRestarts, onNonRestartableFailure}`, each of which may be absent."""
    if policy is None:
        return {}
    body = keys.hash_itself(policy, where)
    counts = keys.hash_of(body, "restartOn", where) or {}
    for reason in counts:
        if reason not in RESTART_REASONS:
            expected = f"a hash whose keys are each {keys.listed(RESTART_REASONS)}"
            raise keys.refusal("restartOn", where, f'{expected}, got "{reason}"')
        keys.integer(counts, reason, f"{where}.restartOn", minimum=0, maximum=RESTARTS_MAX)
    keys.integer(body, "maxRestarts", where, minimum=0, maximum=RESTARTS_MAX)
    keys.one_of(body, "onNonRestartableFailure", ON_FAILURE, where)
    return body


def check_timeout_policy(policy: object, *, where: str = "timeoutPolicy") -> Layer:
    """Return `{entry point or "*": {days, hours, minutes}}`."""
    if policy is None:
        return {}
    body = keys.hash_itself(policy, where)
    for entry_point in body:
        keys.require(body, entry_point, where)
        limit = keys.hash_of(body, entry_point, where) or {}
        if not limit.keys() <= TIME_UNITS_MS.keys():
            raise keys.refusal(entry_point, where, "given in days, hours and minutes")
        for unit in limit:
            keys.integer(limit, unit, f"{where}.{entry_point}", minimum=0)
        if duration_ms(limit) == 0:
            raise keys.refusal(entry_point, where, 'longer than nothing, for example {"hours": 1}')
    return body


def duration_ms(limit: dict[str, Any]) -> int:
    """Return how long `{days, hours, minutes}` is."""
    return sum(int(limit.get(unit) or 0) * length for unit, length in TIME_UNITS_MS.items())
