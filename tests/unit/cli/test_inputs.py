"""What a person types as inputs becomes what the applet takes, or one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plasmid.cli import inputs
from plasmid.cli.inputs import LocalFile
from plasmid.cli.trouble import CommandError

SPEC: list[dict[str, Any]] = [
    {"name": "reads", "class": "array:file", "optional": True},
    {"name": "one", "class": "file", "optional": True},
    {"name": "n", "class": "int", "optional": True, "choices": [1, 2]},
    {"name": "x", "class": "float", "optional": True},
    {"name": "flag", "class": "boolean", "default": False},
    {"name": "words", "class": "array:string", "optional": True},
    {"name": "h", "class": "hash", "optional": True},
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ([], {}),
        (["n=2"], {"n": 2}),
        (["x=1e-3"], {"x": 0.001}),
        (["flag=TRUE"], {"flag": True}),
        (["words=a", "words=b c"], {"words": ["a", "b c"]}),
        (["words=a=b"], {"words": ["a=b"]}),
        (['h={"a": [1]}'], {"h": {"a": [1]}}),
        (["one=a.txt"], {"one": LocalFile(Path("a.txt"))}),
        (["reads=a.txt"], {"reads": [LocalFile(Path("a.txt"))]}),
    ],
)
def test_values_follow_the_class_of_their_input(typed: list[str], values: dict[str, Any]) -> None:
    assert inputs.read(SPEC, typed, None) == values


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["n"], "write an input as -iNAME=VALUE"),
        (["=1"], "write an input as -iNAME=VALUE"),
        (["m=1"], 'there is no input "m"; the inputs of this applet are: reads, one'),
        (["n=two"], 'input "n" must be an integer, not "two"'),
        (["n=3"], 'key "n" of input to be one of 1, 2'),
        (["n=1", "n=2"], "give it once"),
        (["x=y"], 'input "x" must be a number'),
        (["flag=maybe"], 'input "flag" must be true or false'),
        (["h={"], 'input "h" must be JSON'),
        (["one=b.txt"], 'input "one": there is no file b.txt'),
        (["one=folder"], "is a folder; name a file"),
    ],
)
def test_a_wrong_input_is_one_clear_line(typed: list[str], line: str) -> None:
    with pytest.raises(CommandError) as raised:
        inputs.read(SPEC, typed, None)
    assert line in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_missing_input_is_named_with_what_to_type() -> None:
    with pytest.raises(CommandError, match=r'input "bam" \(file\) is missing; .* -ibam=VALUE'):
        inputs.read([{"name": "bam", "class": "file"}], [], None)


def test_typed_inputs_win_over_those_of_a_file(here: Path) -> None:
    (here / "in.json").write_text('{"n": 1, "words": ["a"], "one": "a.txt"}')
    found = inputs.read(SPEC, ["n=2"], here / "in.json")
    assert found == {"n": 2, "words": ["a"], "one": LocalFile(Path("a.txt"))}


@pytest.mark.parametrize(
    ("content", "line"), [("{", "not valid JSON"), ("[1]", "must hold a JSON object")]
)
def test_a_wrong_input_file_is_one_clear_line(here: Path, content: str, line: str) -> None:
    (here / "in.json").write_text(content)
    with pytest.raises(CommandError, match=line):
        inputs.read(SPEC, [], here / "in.json")


@pytest.mark.usefixtures("here")
def test_without_a_spec_values_are_guessed() -> None:
    found = inputs.read(None, ["f=a.txt", "n=1", "s=text", "l=1", "l=2"], None)
    assert found == {"f": LocalFile(Path("a.txt")), "n": 1, "s": "text", "l": [1, 2]}


def test_local_files_are_replaced_by_links_wherever_they_stand() -> None:
    first, second = LocalFile(Path("a")), LocalFile(Path("b"))
    values = {"one": first, "many": [second, first], "n": 1}
    assert inputs.files(values) == [first, second]
    ids = {first: "file-1", second: "file-2"}
    assert inputs.with_links(values, ids) == {
        "one": {"$dnanexus_link": "file-1"},
        "many": [{"$dnanexus_link": "file-2"}, {"$dnanexus_link": "file-1"}],
        "n": 1,
    }
