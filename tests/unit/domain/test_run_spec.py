"""How an executable runs: its runSpec is checked, and combined with what a run asks for."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, run_spec

FILE = "file-" + "B" * 24
RECORD = "record-" + "F" * 24
BASIC: dict[str, Any] = {"interpreter": "bash", "code": ""}

SMALL, MEDIUM, LARGE, OTHER = "mem2_hdd2_x1", "mem2_hdd2_x2", "mem2_hdd2_x4", "mem1_ssd1_v2_x2"


def machine(name: str) -> dict[str, Any]:
    return {"instanceType": name}


def cluster(count: int, script: str = "x.sh") -> dict[str, Any]:
    return {
        "clusterSpec": {"type": "spark", "initialInstanceCount": count, "bootstrapScript": script}
    }


@pytest.mark.parametrize(
    "more",
    [
        {"interpreter": "python3", "code": "print()"},
        {"interpreter": "python2.7", "distribution": "Ubuntu", "release": "14.04"},
        {"distribution": "Ubuntu", "release": "24.04", "version": "0"},
        {"execDepends": [{"name": "samtools"}, {"name": "x", "package_manager": "pip"}]},
        {"execDepends": [{"name": "x", "package_manager": "git", "url": "u", "stages": ["main"]}]},
        {"bundledDepends": [{"name": "with space.tar", "id": {"$dnanexus_link": FILE}}]},
        {"systemRequirements": {"*": machine(SMALL)}, "timeoutPolicy": {"*": {"hours": 1}}},
        {"executionPolicy": {"restartOn": {"*": 1}}, "restartableEntryPoints": "all"},
        {"headJobOnDemand": True, "dependencies": [], "buildDepends": [], "unknown": 3},
    ],
)
def test_a_right_run_spec_is_kept(more: dict[str, Any]) -> None:
    assert run_spec.check_run_spec({**BASIC, **more}) == {**BASIC, **more}


def test_bundled_dependencies_are_kept_as_plain_links() -> None:
    project = "project-" + "P" * 24
    bundles = [
        {"name": "a", "id": {"$dnanexus_link": {"project": project, "id": FILE}}},
        {"name": "b", "id": RECORD, "stages": ["main"]},
        {"name": "c", "id": {"$dnanexus_link": FILE}},
    ]
    kept = run_spec.check_run_spec({**BASIC, "bundledDepends": bundles})
    assert [bundle["id"] for bundle in kept["bundledDepends"]] == [
        {"$dnanexus_link": FILE},
        {"$dnanexus_link": RECORD},
        {"$dnanexus_link": FILE},
    ]
    assert kept["bundledDepends"][1]["stages"] == ["main"]
    assert run_spec.bundled_ids(kept) == [FILE, RECORD]
    assert run_spec.bundled_ids(BASIC) == []


def test_what_means_nothing_to_the_server_is_left_out() -> None:
    spec = {**BASIC, "assetDepends": [{"id": RECORD}], "file": "src/x.sh", "execDepends": None}
    assert run_spec.check_run_spec(spec) == BASIC


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, 'Expected input to have property "runSpec"'),
        ([], "runSpec is not a hash"),
        ({"code": ""}, 'Expected runSpec to have property "interpreter"'),
        (
            {"interpreter": "perl", "code": ""},
            'key "interpreter" of runSpec to be one of "bash", "python3", "python2.7"',
        ),
        ({"interpreter": "bash"}, 'Expected runSpec to have property "code"'),
        ({"interpreter": "bash", "code": 3}, 'key "code" of runSpec to be a string'),
        ({**BASIC, "release": 24.04}, 'key "release" of runSpec to be a string'),
        ({**BASIC, "execDepends": {}}, 'key "execDepends" of runSpec to be an array of hashes'),
        ({**BASIC, "execDepends": ["a"]}, 'key "execDepends" of runSpec to be an array of hashes'),
        ({**BASIC, "execDepends": [{}]}, 'runSpec.execDepends[0] to have property "name"'),
        ({**BASIC, "execDepends": [{"name": ""}]}, 'key "name" of runSpec.execDepends[0]'),
        (
            {**BASIC, "execDepends": [{"name": "a", "package_manager": "brew"}]},
            'key "package_manager" of runSpec.execDepends[0] to be one of "apt"',
        ),
        (
            {**BASIC, "execDepends": [{"name": "a", "package_manager": "git"}]},
            'runSpec.execDepends[0] to have property "url"',
        ),
        (
            {**BASIC, "execDepends": [{"name": "a", "version": 1}]},
            'key "version" of runSpec.execDepends[0] to be a string',
        ),
        (
            {**BASIC, "execDepends": [{"name": "a", "stages": "main"}]},
            'key "stages" of runSpec.execDepends[0]',
        ),
        ({**BASIC, "bundledDepends": {}}, 'key "bundledDepends" of runSpec'),
        (
            {**BASIC, "bundledDepends": [{"id": FILE}]},
            'runSpec.bundledDepends[0] to have property "name"',
        ),
        (
            {**BASIC, "bundledDepends": [{"name": "a", "id": FILE, "stages": "main"}]},
            'key "stages" of runSpec.bundledDepends[0]',
        ),
        (
            {**BASIC, "bundledDepends": [{"name": "a"}]},
            'runSpec.bundledDepends[0] to have property "id"',
        ),
        (
            {**BASIC, "bundledDepends": [{"name": "a", "id": "job-" + "J" * 24}]},
            'key "id" of runSpec.bundledDepends[0] to be a link to a data object',
        ),
        (
            {**BASIC, "systemRequirements": {"main": machine("big")}},
            'key "instanceType" of runSpec.systemRequirements.main',
        ),
        ({**BASIC, "executionPolicy": {"maxRestarts": 10}}, "of runSpec.executionPolicy"),
        ({**BASIC, "timeoutPolicy": {"*": {}}}, 'key "*" of runSpec.timeoutPolicy'),
        ({**BASIC, "restartableEntryPoints": "some"}, 'key "restartableEntryPoints" of runSpec'),
        ({**BASIC, "headJobOnDemand": 1}, 'key "headJobOnDemand" of runSpec to be a boolean'),
    ],
)
def test_a_wrong_run_spec_is_named(spec: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        run_spec.check_run_spec(spec)
    assert message in caught.value.message


def test_access_keeps_what_is_given_and_takes_the_rest_from_the_default() -> None:
    default = {"project": "VIEW"}
    assert run_spec.check_access(None) == {}
    assert run_spec.check_access(None, default=default) == default
    asked = {"network": ["*"], "allProjects": "VIEW", "developer": True}
    assert run_spec.check_access(asked, default=default) == {**asked, **default}
    assert run_spec.check_access({"project": None}, default=default) == {"project": None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "access is not a hash"),
        ({"network": "*"}, 'key "network" of access to be an array of nonempty strings'),
        ({"project": "SOME"}, 'key "access.project" of input to be one of NONE, VIEW'),
        ({"developer": "yes"}, 'key "developer" of access to be a boolean'),
    ],
)
def test_wrong_access_is_named(given: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        run_spec.check_access(given)
    assert message in caught.value.message


SPEC = {
    "systemRequirements": {
        "main": {**machine(SMALL), **cluster(1)},
        "some": {**machine(MEDIUM), **cluster(3)},
        "*": {**machine(LARGE), **cluster(5)},
    }
}


@pytest.mark.parametrize(
    ("spec", "runtime", "by_executable", "effective"),
    [
        ({}, None, None, {}),
        (SPEC, None, None, SPEC["systemRequirements"]),
        # "*" of a run takes the place of all entry points.
        ({}, {"*": machine(MEDIUM)}, None, {"*": machine(MEDIUM)}),
        (
            {"systemRequirements": {"main": machine(SMALL), "*": machine(LARGE)}},
            {"*": machine(MEDIUM)},
            None,
            {"*": machine(MEDIUM)},
        ),
        # One entry point of a run leaves the others.
        ({}, {"some": machine(SMALL)}, None, {"some": machine(SMALL)}),
        (
            {"systemRequirements": {"main": machine(SMALL), "*": machine(LARGE)}},
            {"some": machine(MEDIUM)},
            None,
            {"main": machine(SMALL), "*": machine(LARGE), "some": machine(MEDIUM)},
        ),
        # What the launcher of the tree says beats what the run says.
        ({}, {"*": machine(MEDIUM)}, {"*": machine(OTHER)}, {"*": machine(OTHER)}),
        (
            {"systemRequirements": {"main": machine(SMALL)}},
            {"*": machine(MEDIUM)},
            {"main": machine(OTHER)},
            {"main": machine(OTHER), "*": machine(MEDIUM)},
        ),
        # A selection gives way to a type.
        (
            {
                "systemRequirements": {
                    "*": {"instanceTypeSelector": {"allowedInstanceTypes": [SMALL]}}
                }
            },
            {"*": machine(LARGE)},
            None,
            {"*": machine(LARGE)},
        ),
        # Keys are combined one by one.
        (
            {"systemRequirements": {"*": {**machine(SMALL), "nvidiaDriver": "R535"}}},
            {"*": {"nvidiaDriver": "R470"}},
            None,
            {"*": {**machine(SMALL), "nvidiaDriver": "R470"}},
        ),
        # A count changes one key of each cluster.
        (
            SPEC,
            {"some": {"clusterSpec": {"initialInstanceCount": 12, "bootstrapScript": "z.sh"}}},
            None,
            {
                "main": {**machine(SMALL), **cluster(1)},
                "some": {**machine(MEDIUM), **cluster(12, "z.sh")},
                "*": {**machine(LARGE), **cluster(5)},
            },
        ),
        (
            SPEC,
            {"*": {"clusterSpec": {"initialInstanceCount": 4}}},
            None,
            {
                "main": {**machine(SMALL), **cluster(4)},
                "some": {**machine(MEDIUM), **cluster(4)},
                "*": {**machine(LARGE), **cluster(4)},
            },
        ),
    ],
)
def test_the_layers_are_combined(
    spec: dict[str, Any], runtime: Any, by_executable: Any, effective: dict[str, Any]
) -> None:
    assert run_spec.system_requirements(spec, runtime, by_executable) == effective


def test_a_run_s_wishes_are_checked_when_they_are_combined() -> None:
    with pytest.raises(errors.InvalidInput, match=r"of systemRequirements\.\* to be the name"):
        run_spec.system_requirements({}, {"*": machine("big")})
    selection = {"*": {"instanceTypeSelector": {"allowedInstanceTypes": [SMALL]}}}
    for layers in ((selection, None), (None, selection)):
        with pytest.raises(errors.InvalidInput, match="cannot be specified at run"):
            run_spec.system_requirements({}, *layers)
    with pytest.raises(errors.InvalidInput, match="systemRequirementsByExecutable is not a hash"):
        run_spec.system_requirements({}, None, [])


def test_what_is_said_of_an_executable_beats_what_is_said_of_all() -> None:
    said = {
        "applet-x": {"main": machine(SMALL), "*": machine(MEDIUM)},
        "*": {"collect": machine(LARGE)},
    }
    assert run_spec.layer_for(said, "applet-x") == said["applet-x"]
    assert run_spec.layer_for(said, "applet-y") == {"collect": machine(LARGE)}
    assert run_spec.layer_for({"a": {"main": machine(SMALL)}, **said}, "a") == {
        "main": machine(SMALL),
        "collect": machine(LARGE),
    }
    assert run_spec.layer_for(None, "applet-x") == {}


def test_a_tree_s_wishes_beat_those_of_a_run_inside_it() -> None:
    inherited = {"applet-x": {"*": machine(SMALL)}}
    given = {"applet-x": {"main": machine(LARGE)}, "applet-y": {"*": machine(MEDIUM)}}
    merged = {"applet-x": {"*": machine(SMALL)}, "applet-y": {"*": machine(MEDIUM)}}
    assert run_spec.merge_by_executable(inherited, given) == merged
    assert run_spec.merge_by_executable(None, given) == given
    assert run_spec.merge_by_executable(inherited, None) == inherited


def test_an_entry_point_has_its_own_keys_and_else_those_of_all() -> None:
    selection = {"instanceTypeSelector": {"allowedInstanceTypes": [LARGE, SMALL]}}
    wanted = {"main": {**selection}, "*": {**machine(MEDIUM), "fpgaDriver": "f"}, "none": {}}
    assert run_spec.for_entry_point(wanted, "main") == {**selection, "fpgaDriver": "f"}
    assert run_spec.for_entry_point(wanted, "none") == wanted["*"]
    assert run_spec.for_entry_point(wanted, "other") == wanted["*"]
    assert run_spec.for_entry_point({}, "main") == {}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"main": machine(SMALL), "*": machine(LARGE)}, [SMALL]),
        ({"other": machine(SMALL), "*": machine(LARGE)}, [LARGE]),
        (
            {"*": {"instanceTypeSelector": {"allowedInstanceTypes": [OTHER, SMALL]}}},
            [OTHER, SMALL],
        ),
        ({"other": machine(SMALL)}, []),
        ({}, []),
    ],
)
def test_the_instance_types_that_will_do_for_main(wanted: Any, names: list[str]) -> None:
    assert run_spec.instance_types_for(wanted, "main") == names


DEFAULT_POLICY = {"UnresponsiveWorker": 2, "JMInternalError": 1, "ExecutionError": 1}


@pytest.mark.parametrize(
    ("own", "runtime", "policy"),
    [
        (None, None, {"restartOn": DEFAULT_POLICY}),
        ({"maxRestarts": 3}, None, {"restartOn": DEFAULT_POLICY, "maxRestarts": 3}),
        ({"restartOn": {"AppError": 1}}, None, {"restartOn": {"AppError": 1}}),
        ({"restartOn": {}}, None, {"restartOn": {}}),
        (
            {"restartOn": {"AppError": 1, "*": 2}, "maxRestarts": 3},
            {"restartOn": {"AppError": 4}, "onNonRestartableFailure": "failStage"},
            {
                "restartOn": {"AppError": 4, "*": 2},
                "maxRestarts": 3,
                "onNonRestartableFailure": "failStage",
            },
        ),
        (None, {"restartOn": {"*": 5}}, {"restartOn": {**DEFAULT_POLICY, "*": 5}}),
    ],
)
def test_a_run_overrides_the_policy_reason_by_reason(own: Any, runtime: Any, policy: Any) -> None:
    assert run_spec.execution_policy({"executionPolicy": own}, runtime) == policy


def test_a_wrong_policy_of_a_run_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match='key "maxRestarts" of executionPolicy'):
        run_spec.execution_policy({}, {"maxRestarts": 99})


def test_restarts_are_counted_by_reason_and_in_all() -> None:
    policy = {"restartOn": {"AppError": 2, "*": 1}}
    assert run_spec.restarts_allowed(policy, "AppError") == 2
    assert run_spec.restarts_allowed(policy, "ExecutionError") == 1
    assert run_spec.restarts_allowed({}, "AppError") == 0
    assert run_spec.restarts_max(policy) == 9
    assert run_spec.restarts_max({"maxRestarts": 0}) == 0


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("own", "runtime", "limit_ms"),
    [
        (None, None, 30 * 24 * HOUR_MS),
        ({"main": {"hours": 2}, "*": {"hours": 3}}, None, 2 * HOUR_MS),
        ({"other": {"hours": 2}, "*": {"hours": 3}}, None, 3 * HOUR_MS),
        ({"other": {"hours": 2}}, None, 30 * 24 * HOUR_MS),
        ({"*": {"days": 400}}, None, 30 * 24 * HOUR_MS),
        ({"main": {"hours": 2}}, {"*": {"hours": 5}}, 5 * HOUR_MS),
        ({"main": {"hours": 2}}, {"other": {"hours": 5}}, 2 * HOUR_MS),
    ],
)
def test_the_time_of_main_is_limited(own: Any, runtime: Any, limit_ms: int) -> None:
    assert run_spec.timeout_ms({"timeoutPolicy": own}, "main", runtime=runtime) == limit_ms
