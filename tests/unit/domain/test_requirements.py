"""What a runSpec and a run may ask for is checked, and named when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plasmid.domain import errors, requirements

SELECTION = {"instanceTypeSelector": {"allowedInstanceTypes": ["mem1_ssd1_x2", "mem2_ssd1_x2"]}}


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (requirements.check_system_requirements, {"*": {"instanceType": "mem1_ssd1_x2"}}),
        (requirements.check_system_requirements, {"main": SELECTION, "other": {}}),
        (
            requirements.check_system_requirements,
            {"main": {"clusterSpec": {"type": "spark", "initialInstanceCount": 2}}},
        ),
        (requirements.check_system_requirements, {"*": {"nvidiaDriver": "R535", "other": [1]}}),
        (
            requirements.check_by_executable,
            {"*": {"*": {"instanceType": "mem1_ssd1_x2"}}, "applet-x": {}},
        ),
        (
            requirements.check_execution_policy,
            {"restartOn": {"*": 0, "AppError": 9, "SpotInstanceInterruption": 1}, "maxRestarts": 9},
        ),
        (requirements.check_execution_policy, {"onNonRestartableFailure": "failStage"}),
        (requirements.check_timeout_policy, {"*": {"days": 1, "hours": 2, "minutes": 3}}),
        (
            requirements.check_timeout_policy,
            {"*": {"hours": 1}, "main": {"days": 30, "minutes": 0}},
        ),
    ],
)
def test_right_wishes_are_returned_as_they_are(check: Callable[[Any], Any], value: Any) -> None:
    assert check(value) == value
    assert check(None) == {}


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (requirements.check_system_requirements, [], "systemRequirements is not a hash"),
        (requirements.check_system_requirements, {"*": 1}, "systemRequirements.* is not a hash"),
        (
            requirements.check_system_requirements,
            {"main": {"instanceType": "mem1_ssd1_x3"}},
            'key "instanceType" of systemRequirements.main to be the name of an instance type',
        ),
        (
            requirements.check_system_requirements,
            {"*": {"instanceType": "mem1_ssd1_x2", **SELECTION}},
            "instanceType and instanceTypeSelector of systemRequirements.* exclude each other",
        ),
        (
            requirements.check_system_requirements,
            {"*": {"clusterSpec": {}, **SELECTION}},
            "clusterSpec and instanceTypeSelector of systemRequirements.* exclude each other",
        ),
        (
            requirements.check_system_requirements,
            {"*": {"instanceTypeSelector": {"allowedInstanceTypes": []}}},
            'key "allowedInstanceTypes" of systemRequirements.*.instanceTypeSelector',
        ),
        (
            requirements.check_system_requirements,
            {"*": {"instanceTypeSelector": {"allowedInstanceTypes": ["big"]}}},
            'got "big"',
        ),
        (
            requirements.check_system_requirements,
            {"*": {"clusterSpec": {"initialInstanceCount": 0}}},
            'key "initialInstanceCount" of systemRequirements.*.clusterSpec to be at least 1',
        ),
        (requirements.check_system_requirements, {"*": {"clusterSpec": 3}}, 'key "clusterSpec"'),
        (requirements.check_system_requirements, {"*": {"fpgaDriver": 3}}, 'key "fpgaDriver"'),
        (
            requirements.check_by_executable,
            {"applet-x": {"*": {"instanceType": "big"}}},
            "of systemRequirementsByExecutable.applet-x.* to be",
        ),
        (
            requirements.check_by_executable,
            {"applet-x": {"*": SELECTION}},
            "instanceTypeSelector cannot be specified at run",
        ),
        (requirements.check_by_executable, [], "systemRequirementsByExecutable is not a hash"),
        (requirements.check_execution_policy, 3, "executionPolicy is not a hash"),
        (
            requirements.check_execution_policy,
            {"restartOn": {"Bored": 1}},
            'key "restartOn" of executionPolicy to be a hash whose keys are each one of "AppError"',
        ),
        (
            requirements.check_execution_policy,
            {"restartOn": {"AppError": 10}},
            'key "AppError" of executionPolicy.restartOn to be in range [0, 9]',
        ),
        (requirements.check_execution_policy, {"restartOn": []}, 'key "restartOn"'),
        (
            requirements.check_execution_policy,
            {"maxRestarts": -1},
            'key "maxRestarts" of executionPolicy to be in range [0, 9]',
        ),
        (
            requirements.check_execution_policy,
            {"onNonRestartableFailure": "x"},
            'key "onNonRestartableFailure"',
        ),
        (requirements.check_timeout_policy, [], "timeoutPolicy is not a hash"),
        (requirements.check_timeout_policy, {"*": None}, 'timeoutPolicy to have property "*"'),
        (requirements.check_timeout_policy, {"*": 3}, 'key "*" of timeoutPolicy to be a hash'),
        (
            requirements.check_timeout_policy,
            {"*": {"seconds": 3}},
            'key "*" of timeoutPolicy to be given in days, hours and minutes',
        ),
        (
            requirements.check_timeout_policy,
            {"main": {"hours": -1}},
            'key "hours" of timeoutPolicy.main to be at least 0',
        ),
        (
            requirements.check_timeout_policy,
            {"main": {}},
            'key "main" of timeoutPolicy to be longer',
        ),
        (requirements.check_timeout_policy, {"main": {"hours": 0}}, "to be longer than nothing"),
    ],
)
def test_wrong_wishes_are_named(check: Callable[[Any], Any], value: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        check(value)
    assert message in caught.value.message


def test_a_run_may_not_choose_from_a_selection() -> None:
    assert requirements.check_system_requirements({"*": SELECTION}) == {"*": SELECTION}
    with pytest.raises(errors.InvalidInput, match="cannot be specified at run, as in systemReq"):
        requirements.check_system_requirements({"*": SELECTION}, at_run=True)


def test_a_duration_is_the_sum_of_its_units() -> None:
    limit = {"days": 1, "hours": 2, "minutes": 3}
    assert requirements.duration_ms(limit) == ((24 + 2) * 60 + 3) * 60_000
