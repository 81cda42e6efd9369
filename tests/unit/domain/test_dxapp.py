"""A dxapp.json is read as dx build reads it, and all that is wrong with it is found."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import dxapp, errors, run_spec

RECORD = "record-" + "F" * 24
FILE = "file-" + "B" * 24
SMALL, LARGE = (
    {"*": {"instanceType": "mem1_ssd1_v2_x2"}},
    {"*": {"instanceType": "mem1_ssd1_v2_x8"}},
)

APPLET: dict[str, Any] = {
    "name": "count",
    "title": "Count reads",
    "dxapi": "1.0.0",
    "version": "0.0.1",
    "inputSpec": [{"name": "reads", "class": "file", "patterns": ["*.fq.gz"]}],
    "outputSpec": [{"name": "counts", "class": "file"}],
    "runSpec": {
        "interpreter": "bash",
        "file": "src/count.sh",
        "distribution": "Ubuntu",
        "release": "24.04",
        "version": "0",
    },
    "access": {"network": ["*"]},
}


def changed(**more: Any) -> dict[str, Any]:
    return {**APPLET, **more}


def with_spec(**more: Any) -> dict[str, Any]:
    return changed(runSpec={**APPLET["runSpec"], **more})


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in APPLET.items() if name != key}


def read(document: dict[str, Any], region: str | None = None) -> dxapp.Dxapp:
    return dxapp.read(json.dumps(document), exists=lambda _: True, region=region)


def lint(document: Any) -> dxapp.Findings:
    return dxapp.lint(json.dumps(document), exists=lambda path: path == "src/count.sh")


def test_a_right_file_becomes_the_body_of_applet_new() -> None:
    found = read(APPLET)
    assert (found.name, found.code_file, found.warnings) == ("count", "src/count.sh", ())
    assert "code" not in found.body["runSpec"]
    body = dxapp.body_with_code(found, "main() { :; }")
    expected = {**APPLET["runSpec"], "code": "main() { :; }"}
    del expected["file"]
    assert body == {**APPLET, "runSpec": expected}
    assert run_spec.check_run_spec(body["runSpec"]) == expected


def test_code_may_stand_in_the_file_itself() -> None:
    spec = {"interpreter": "bash", "code": "true", "distribution": "Ubuntu", "release": "24.04"}
    found = read(changed(runSpec=spec))
    assert (found.code_file, found.body["runSpec"]["code"]) == (None, "true")


def test_where_the_applet_goes_is_left_out() -> None:
    body = read(changed(project="project-x", folder="/a", regionalOptions={})).body
    assert not {"project", "folder", "regionalOptions"} & body.keys()


def test_what_is_missing_is_filled_in_and_said() -> None:
    document = {"runSpec": {"interpreter": "bash", "file": "x.sh"}}
    found = dxapp.read(json.dumps(document), exists=lambda _: True, default_name="folder")
    assert found.body == {
        "dxapi": "1.0.0",
        "name": "folder",
        "runSpec": {
            "interpreter": "bash",
            "distribution": "Ubuntu",
            "release": "24.04",
            "version": "0",
        },
    }
    assert found.warnings == (
        'there is no "name": the folder\'s name is taken',
        'there is no "inputSpec": its fields are not checked',
        'there is no "outputSpec": its fields are not checked',
        'runSpec has no "distribution": Ubuntu is taken, but dx build refuses this',
        'runSpec has no "release": 24.04 is taken, but dx build refuses this',
    )


REGIONS = {
    "aws:eu-west-2": {"systemRequirements": LARGE},
    "aws:us-east-1": {
        "systemRequirements": SMALL,
        "bundledDepends": [{"name": "b", "id": {"$dnanexus_link": FILE}}],
        "assetDepends": [{"id": RECORD}],
    },
}


def test_the_options_of_the_region_are_merged_into_the_run_spec() -> None:
    own = {
        "systemRequirements": LARGE,
        "bundledDepends": [{"name": "a", "id": {"$dnanexus_link": FILE}}],
        "assetDepends": [{"name": "htslib"}],
    }
    found = read(with_spec(**own) | {"regionalOptions": REGIONS})
    spec = found.body["runSpec"]
    assert spec["systemRequirements"] == SMALL
    assert [bundle["name"] for bundle in spec["bundledDepends"]] == ["a", "b"]
    assert found.asset_depends == ({"name": "htslib"}, {"id": RECORD})
    assert "assetDepends" not in spec
    assert found.warnings == ()


def test_another_region_may_be_asked_for() -> None:
    found = read(changed(regionalOptions=REGIONS), region="aws:eu-west-2")
    assert found.body["runSpec"]["systemRequirements"] == LARGE
    with pytest.raises(errors.InvalidInput, match='to have the region "azure:westus", which has'):
        read(changed(regionalOptions=REGIONS), region="azure:westus")


def test_where_the_default_region_is_missing_the_first_is_taken_and_said() -> None:
    found = read(changed(regionalOptions={"aws:eu-west-2": {"systemRequirements": LARGE}}))
    assert found.body["runSpec"]["systemRequirements"] == LARGE
    assert found.warnings == (
        "regionalOptions has no aws:us-east-1: those of aws:eu-west-2 are taken",
    )


@pytest.mark.parametrize(
    ("document", "requirements"),
    [
        (changed(systemRequirements=SMALL), SMALL),
        (with_spec(systemRequirements=LARGE) | {"systemRequirements": SMALL}, LARGE),
        (changed(systemRequirements=LARGE, regionalOptions=REGIONS), SMALL),
    ],
)
def test_requirements_at_the_top_are_the_last_choice(
    document: dict[str, Any], requirements: Any
) -> None:
    found = read(document)
    assert found.body["runSpec"]["systemRequirements"] == requirements
    assert "systemRequirements" not in found.body


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{\n  "name": "x"\n  "title": "y"\n}\n',
            (
                "dxapp.json: line 3, column 3: Expecting ',' delimiter\n"
                '    3 |   "title": "y"\n'
                "      |   ^"
            ),
        ),
        (
            '{"a": 1,\n<<<<<<< HEAD\n}',
            (
                "dxapp.json: line 2, column 1: Expecting property name enclosed in double quotes\n"
                "    2 | <<<<<<< HEAD\n"
                "      | ^"
            ),
        ),
        (
            '{\n\t"a": 1,\r\n\t"b"\r\n}',
            "dxapp.json: line 4, column 1: Expecting ':' delimiter\n    4 | }\n      | ^",
        ),
        ("", "dxapp.json: line 1, column 1: Expecting value\n    1 | \n      | ^"),
        ("[]", "dxapp.json is not a hash"),
        ('{"a": NaN}', "dxapp.json: NaN is no JSON value"),
        (
            '{"a": 1, "b": {"c": 1, "c": 2}}',
            'dxapp.json: the key "c" stands twice in the same object: remove one of them',
        ),
        ("[" * 100_000, "dxapp.json is nested too deep"),
    ],
)
def test_what_is_no_json_is_shown_at_its_place(text: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        dxapp.parse(text)
    assert caught.value.message == message
    assert dxapp.lint(text, exists=lambda _: True).errors == (message,)


def test_a_long_line_is_cut_around_the_place() -> None:
    text = '{"a": "' + "x" * 500 + '" "b": 1, "c": "' + "y" * 500 + '"}'
    with pytest.raises(errors.InvalidInput) as caught:
        dxapp.parse(text)
    first, shown, caret = caught.value.message.split("\n")
    assert first == "dxapp.json: line 1, column 510: Expecting ',' delimiter"
    assert len(shown) < 90
    assert shown[caret.index("^") :].startswith('"b": 1')


@pytest.mark.parametrize(
    ("document", "errors_found"),
    [
        (APPLET, []),
        (without("runSpec"), ['Expected input to have property "runSpec"']),
        (changed(runSpec=[]), ["runSpec is not a hash"]),
        (changed(name=""), ['Expected key "name" of dxapp.json to be a nonempty string']),
        (
            with_spec(file="src/lost.sh"),
            ['The file "src/lost.sh" that runSpec.file names does not exist'],
        ),
        (with_spec(file=3), ['Expected key "file" of runSpec to be a string']),
        (
            changed(runSpec={"interpreter": "bash", "distribution": "Ubuntu", "release": "24.04"}),
            ['Expected runSpec to have property "file", the path of the program'],
        ),
        (
            with_spec(interpreter="perl"),
            ['Expected key "interpreter" of runSpec to be one of "bash", "python3", "python2.7"'],
        ),
        (
            changed(inputSpec=[{"name": "34", "class": "int"}], outputSpec=[{"name": "x"}]),
            [
                (
                    'Expected key "name" of inputSpec[0] to be a string that matches '
                    "^[a-zA-Z_][0-9a-zA-Z_]*$, got '34'"
                ),
                'Expected outputSpec[0] to have property "class"',
            ],
        ),
        (
            changed(access={"network": "*"}),
            ['Expected key "network" of access to be an array of nonempty strings'],
        ),
        (
            with_spec(execDepends=[{"name": "a"}, {"name": "b", "package_manager": "pip"}])
            | {"access": {}},
            [
                (
                    '"b" of runSpec.execDepends comes from pip, which needs the network: '
                    'add "access": {"network": ["*"]}'
                )
            ],
        ),
        (with_spec(execDepends=[{"name": "b", "package_manager": "pip"}]), []),
        (
            with_spec(assetDepends=["htslib"]),
            ['Expected key "assetDepends" of runSpec to be an array of hashes'],
        ),
        (
            changed(regionalOptions={"x": {"systemRequirements": []}}),
            ['Expected key "systemRequirements" of regionalOptions.x to be a hash'],
        ),
        (
            changed(regionalOptions=[]),
            ['Expected key "regionalOptions" of dxapp.json to be a hash'],
        ),
        (
            changed(regionalOptions={"aws:us-east-1": {"bundledDepends": 3}}),
            ['Expected key "bundledDepends" of regionalOptions.aws:us-east-1 to be an array'],
        ),
    ],
)
def test_everything_that_is_wrong_is_found(document: Any, errors_found: list[str]) -> None:
    assert list(lint(document).errors) == errors_found


def test_reading_stops_at_the_first_error_and_counts_the_others() -> None:
    document = with_spec(interpreter="perl", file="lost.sh") | {"name": ""}
    with pytest.raises(errors.InvalidInput) as caught:
        dxapp.read(json.dumps(document), exists=lambda _: False, path="app/dxapp.json")
    assert caught.value.message == (
        'app/dxapp.json: Expected key "name" of dxapp.json to be a nonempty string (and 2 more)'
    )


def test_a_single_error_counts_no_others() -> None:
    with pytest.raises(errors.InvalidInput, match=r"nonempty string$"):
        read(changed(name=""))


def test_typing_errors_in_fields_are_warned_of() -> None:
    fields = [{"name": "x", "class": "int", "helP": "h", "optionl": True, "zzz": 1}]
    assert lint(changed(inputSpec=fields)).warnings == (
        'inputSpec[0] has the unknown key "helP": is "help" meant?',
        'inputSpec[0] has the unknown key "optionl": is "optional" meant?',
        'inputSpec[0] has the unknown key "zzz"',
    )


def test_deep_nesting_is_refused() -> None:
    value: Any = {}
    for _ in range(300):
        value = {"a": value}
    assert lint(changed(details=value)).errors == ("dxapp.json is nested deeper than 200 levels",)


junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1.5, "", "x", [], {}, [[]], [{}], {"x": 1}, {"*": 1}, [1], [{"name": "x"}]]
)
places = st.sampled_from(
    [
        *(("name",), ("inputSpec",), ("outputSpec",), ("runSpec",), ("access",)),
        *(("regionalOptions",), ("systemRequirements",), ("runSpec", "file"), ("runSpec", "code")),
        *(("runSpec", "execDepends"), ("runSpec", "bundledDepends"), ("runSpec", "assetDepends")),
        *(("runSpec", "systemRequirements"), ("runSpec", "timeoutPolicy"), ("runSpec", "release")),
        *(("regionalOptions", "aws:us-east-1"), ("regionalOptions", "x"), ("access", "network")),
        ("regionalOptions", "aws:us-east-1", "bundledDepends"),
        ("regionalOptions", "aws:us-east-1", "systemRequirements"),
    ]
)


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put a value at a path, if the document still has the way to it."""
    for step in path[:-1]:
        if not isinstance(document, dict) or step not in document:
            return
        document = document[step]
    if isinstance(document, dict):
        document[path[-1]] = copy.deepcopy(value)


@given(st.lists(st.tuples(places, junk), max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_dxapp_json_is_a_surprise(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(changed(regionalOptions=REGIONS))
    for path, value in changes:
        put(document, path, value)
    text = json.dumps(document)
    if dxapp.lint(text, exists=lambda _: True).errors:
        with pytest.raises(errors.InvalidInput):
            dxapp.read(text, exists=lambda _: True)
    else:
        body = dxapp.body_with_code(dxapp.read(text, exists=lambda _: True), "true")
        run_spec.check_run_spec(body["runSpec"])
