"""How an executable runs: check what its author says, combine it with a run's wishes (E.2, F.3).

Three layers speak of the machine: what the launcher of the tree said of this executable
(ByExecutable), what this run said, and the runSpec. They are combined key by key; within a layer
an entry point's own value beats that of `*`, and a `*` hides all that lower layers say of the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from plasmid.domain import access, errors, keys, links, requirements
from plasmid.domain.requirements import CLUSTER, SELECTOR, Layer

INTERPRETERS: Final = ("bash", "python3", "python2.7")
PACKAGE_MANAGERS: Final = ("apt", "pip", "pip3", "gem", "cpan", "cran", "git")
RESTARTABLE: Final = ("master", "all")
TIMEOUT_MAX_MS: Final = 30 * 86_400_000
DEFAULT_RESTART_ON: Final = {"UnresponsiveWorker": 2, "JMInternalError": 1, "ExecutionError": 1}

# What a runSpec that is given back says if it was not said.
UNSAID: Final = {"headJobOnDemand": False, "inheritParentRestartOnPolicy": False}
# What the client sends and resolves itself: it means nothing to the server.
_DROPPED: Final = frozenset({"assetDepends", "file"})
# Two ways to say the same thing: the higher layer's way counts.
DEFAULT_DISTRIBUTION: Final = "Ubuntu"
_DEFAULT_RELEASES: Final = {"python2.7": "16.04"}
_DEFAULT_RELEASE: Final = "24.04"
_INSTANCE: Final = ("instanceType", SELECTOR)


def release_of(run_spec: dict[str, Any]) -> str:
    """Return the release that an executable runs on.

    One that names none gets the newest that has its interpreter: 16.04 for python2.7, else 24.04.
    """
    default = _DEFAULT_RELEASES.get(run_spec.get("interpreter", ""), _DEFAULT_RELEASE)
    return str(run_spec.get("release", default))


def check_run_spec(run_spec: object, *, where: str = "runSpec") -> dict[str, Any]:
    """Return a runSpec as it is kept; raises InvalidInput that names what is wrong in it."""
    if run_spec is None:
        raise errors.InvalidInput(f'Expected input to have property "{where}"')
    body = keys.hash_itself(run_spec, where)
    keys.require(body, "interpreter", where)
    keys.one_of(body, "interpreter", INTERPRETERS, where)
    keys.required_string(body, "code", where)
    for key in ("distribution", "release", "version"):
        keys.string(body, key, where)
    _check_exec_depends(body, where)
    _check_bundled_depends(body, where)
    wanted = body.get("systemRequirements")
    requirements.check_system_requirements(wanted, where=f"{where}.systemRequirements")
    policy = body.get("executionPolicy")
    requirements.check_execution_policy(policy, where=f"{where}.executionPolicy")
    limits = body.get("timeoutPolicy")
    requirements.check_timeout_policy(limits, where=f"{where}.timeoutPolicy")
    keys.one_of(body, "restartableEntryPoints", RESTARTABLE, where)
    for key in UNSAID:
        keys.boolean(body, key, where)
    return normalise(body)


def normalise(run_spec: dict[str, Any]) -> dict[str, Any]:
    """Return a right runSpec as it is kept: bundledDepends with plain links, no nulls."""
    kept = {
        key: value for key, value in run_spec.items() if value is not None and key not in _DROPPED
    }
    if "bundledDepends" in kept:
        kept["bundledDepends"] = [
            {**bundle, "id": links.link(_bundled_id(bundle) or "")}
            for bundle in kept["bundledDepends"]
        ]
    return kept


def _check_exec_depends(body: dict[str, Any], where: str) -> None:
    for index, package in enumerate(keys.hashes(body, "execDepends", where)):
        at = f"{where}.execDepends[{index}]"
        if not keys.required_string(package, "name", at):
            raise keys.refusal("name", at, "a nonempty string")
        manager = keys.one_of(package, "package_manager", PACKAGE_MANAGERS, at)
        if manager == "git":
            keys.required_string(package, "url", at)
        for key in ("version", "tag", "destdir", "build_commands"):
            keys.string(package, key, at)
        keys.strings(package, "stages", at)


def _check_bundled_depends(body: dict[str, Any], where: str) -> None:
    for index, bundle in enumerate(keys.hashes(body, "bundledDepends", where)):
        at = f"{where}.bundledDepends[{index}]"
        keys.required_string(bundle, "name", at)
        keys.require(bundle, "id", at)
        if _bundled_id(bundle) is None:
            raise keys.refusal("id", at, "a link to a data object")
        keys.strings(bundle, "stages", at)


def _bundled_id(bundle: dict[str, Any]) -> str | None:
    """Return the id that an entry of bundledDepends names, as a link or plainly."""
    target = bundle.get("id")
    return links.linked_id(target) or links.linked_id({links.LINK: target})


def bundled_ids(run_spec: dict[str, Any]) -> list[str]:
    """Return the ids of the objects that come with an executable; its describe links to them."""
    found = (_bundled_id(bundle) for bundle in run_spec.get("bundledDepends") or [])
    return list(dict.fromkeys(object_id for object_id in found if object_id is not None))


def check_access(given: object, *, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what an executable asks to reach (contract E.3), what it leaves out by the default."""
    body = {} if given is None else keys.hash_itself(given, "access")
    keys.strings(body, "network", "access")
    for key in ("project", "allProjects"):
        access.Level.parse(body.get(key), f"access.{key}")
    for key in ("developer", "projectCreation"):
        keys.boolean(body, key, "access")
    return {**(default or {}), **body}


def system_requirements(
    run_spec: dict[str, Any],
    runtime: object = None,
    by_executable: object = None,
) -> Layer:
    """Return a job's effective systemRequirements, by entry point and `*`.

    `runtime` is the run's systemRequirements, `by_executable` what its ByExecutable says of this
    executable (`layer_for`); both are checked here, and raise InvalidInput.
    """
    where = "systemRequirementsByExecutable"
    tree = requirements.check_system_requirements(by_executable, where=where, at_run=True)
    own = requirements.check_system_requirements(runtime, at_run=True)
    return combined([tree, own, run_spec.get("systemRequirements") or {}])


def layer_for(by_executable: object, executable: str) -> Layer:
    """Return what a ByExecutable says of one executable, by its id or by `*`."""
    checked = requirements.check_by_executable(by_executable)
    return combined([checked.get(executable) or {}, checked.get("*") or {}])


def merge_by_executable(inherited: object, given: object) -> dict[str, Layer]:
    """Return mergedSystemRequirementsByExecutable: what a tree inherits beats what a run adds."""
    higher = requirements.check_by_executable(inherited)
    lower = requirements.check_by_executable(given)
    return {
        executable: combined([higher.get(executable) or {}, lower.get(executable) or {}])
        for executable in dict.fromkeys((*higher, *lower))
    }


def combined(layers: list[Layer]) -> Layer:
    """Return layers as one, the first of them the highest."""
    named = {key for layer in layers for wanted in layer.values() for key in wanted}
    found: Layer = {}
    for slot in [_INSTANCE, *((key,) for key in sorted(named - {*_INSTANCE, CLUSTER}))]:
        for entry_point, values in _slot(layers, slot).items():
            found.setdefault(entry_point, {}).update(values)
    for entry_point, cluster in _clusters(layers).items():
        found.setdefault(entry_point, {})[CLUSTER] = cluster
    return found


def _slot(layers: Iterable[Layer], slot: tuple[str, ...]) -> Layer:
    """Return what counts for one key (or two that exclude each other), by entry point."""
    found: Layer = {}
    for layer in layers:
        said = {
            entry_point: {key: wanted[key] for key in slot if wanted.get(key) is not None}
            for entry_point, wanted in layer.items()
        }
        found = {**{name: values for name, values in said.items() if values}, **found}
        if "*" in found:
            break
    return found


def _clusters(layers: list[Layer]) -> Layer:
    """Return the cluster of each entry point: a higher layer changes keys of a lower one's."""
    named = dict.fromkeys(
        entry_point
        for layer in reversed(layers)
        for entry_point, wanted in layer.items()
        if wanted.get(CLUSTER) is not None
    )
    clusters: Layer = {}
    for entry_point in named:
        clusters[entry_point] = {}
        for layer in reversed(layers):
            changes = for_entry_point(layer, entry_point).get(CLUSTER) or {}
            clusters[entry_point].update(changes)
    return clusters


def for_entry_point(wanted: Layer, function: str) -> dict[str, Any]:
    """Return what one entry point needs: its own keys, else those of `*`."""
    own, general = wanted.get(function) or {}, wanted.get("*") or {}
    if any(own.get(key) is not None for key in _INSTANCE):
        general = {key: value for key, value in general.items() if key not in _INSTANCE}
    return {**general, **own}


def instance_types_for(wanted: Layer, function: str) -> list[str]:
    """Return the instance types that will do for an entry point, the best first; [] for any.

    `wanted` are the effective requirements.
    """
    needs = for_entry_point(wanted, function)
    if needs.get("instanceType") is not None:
        return [str(needs["instanceType"])]
    return list((needs.get(SELECTOR) or {}).get("allowedInstanceTypes") or [])


def execution_policy(
    run_spec: dict[str, Any], runtime: object = None, *, inherited: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a job's executionPolicy: the run's overrides the runSpec's, restartOn by reason.

    With no restartOn in the runSpec the platform's default stands in for it, and with
    inheritParentRestartOnPolicy that of `inherited`, the policy of the job that starts this one.
    """
    own = run_spec.get("executionPolicy") or {}
    given = requirements.check_execution_policy(runtime)
    base = own.get("restartOn")
    if inherited is not None and run_spec.get("inheritParentRestartOnPolicy"):
        base = inherited.get("restartOn")
    restart_on = {
        **(DEFAULT_RESTART_ON if base is None else base),
        **(given.get("restartOn") or {}),
    }
    policy = {**own, **given, "restartOn": restart_on}
    return {key: value for key, value in policy.items() if value is not None}


def restarts_allowed(policy: dict[str, Any], reason: str) -> int:
    """Return how often a job may restart for a reason."""
    counts = policy.get("restartOn") or {}
    return int(counts.get(reason, counts.get("*")) or 0)


def restarts_max(policy: dict[str, Any]) -> int:
    """Return how often a job may restart for all reasons together."""
    given = policy.get("maxRestarts")
    return requirements.RESTARTS_MAX if given is None else int(given)


def timeout_ms(run_spec: dict[str, Any], function: str, *, runtime: object = None) -> int:
    """Return how long an entry point may be running: 30 days unless a policy says less.

    `runtime` is the run's timeoutPolicy for this executable; its `*` beats the runSpec's own entry.
    """
    where = "timeoutPolicyByExecutable"
    given = requirements.check_timeout_policy(runtime, where=where)
    for policy in (given, run_spec.get("timeoutPolicy") or {}):
        limit = policy.get(function) or policy.get("*")
        if limit:
            return min(requirements.duration_ms(limit), TIMEOUT_MAX_MS)
    return TIMEOUT_MAX_MS
