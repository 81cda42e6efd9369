"""An answer that is not the expected one is found out: one that lets all pass proves nothing."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.behaviour import reading
from tests.behaviour.matching import contains, differs, flow
from tests.behaviour.reading import Case, TableError
from tests.behaviour.server import Server
from tests.behaviour.steps import Run
from tests.behaviour.test_behaviour import wrong


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("1", "[1]"),
        ("1", "true"),
        ("true", "1"),
        ("{a: 1}", "{}"),
        ("{a: 1}", "{a: 1, b: 2}"),
        ("[1, 2]", "[2, 1]"),
        ("[1]", "[1, 1]"),
        ("null", "0"),
        ("<int>", "true"),
        ("<int>", "1.5"),
        ("<str>", "null"),
        ("<list>", "{}"),
        ("<file id>", "record-000000000000000000000000"),
        ("<file id>", "file-1"),
        ("<len 2>", "[1]"),
        ("<has a>", "[b]"),
        ("<not a>", "a"),
        ("<~ ^a$>", "ab"),
        ("<keys a b>", "{a: 1}"),
        ('"<with {a: 1}>"', "{a: 2}"),
    ],
)
def test_what_is_not_expected_differs(expected: str, found: str) -> None:
    assert differs(flow(expected), flow(found)) is not None
    assert differs(flow(found), flow(found)) is None


def test_a_key_that_must_not_be_there_is_found() -> None:
    assert contains({"a": "<absent>"}, {"a": None}) is not None
    assert contains({"a": "<absent>"}, {"b": 1}) is None
    assert contains({"a": 1}, {"a": 1, "b": 2}) is None


def test_an_expectation_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no expectation"):
        differs("<sometimes>", 1)


@pytest.mark.parametrize(
    "answer",
    [
        "404",
        "422 InvalidState",
        "422 InvalidInput ~ other words",
        "422 InvalidInput = it is wrong.",
        "200 {id: x}",
    ],
)
def test_another_refusal_is_wrong(answer: str, server: Server, http: httpx2.Client) -> None:
    said = httpx2.Response(422, json={"error": {"type": "InvalidInput", "message": "It is wrong."}})
    case = Case("here:1", "A.7", "owner", "", "/x/y", answer)
    assert wrong(Run(server, http), case, said) is not None
    right = Case("here:1", "A.7", "owner", "", "/x/y", "422 InvalidInput = It is wrong.")
    assert wrong(Run(server, http), right, said) is None


@pytest.mark.parametrize(
    "line",
    [
        "C.7 | owner | | /system/whoami",
        "nowhere | owner | | /system/whoami | 200",
        "C.7 | king | | /system/whoami | 200",
        ":grid C.7 | owner | | /system/<row> | <cell>\n:cols | a | b\nwhoami | yes",
    ],
)
def test_a_line_that_is_no_case_is_an_error(line: str, tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(TableError):
        reading.read(table)


def test_a_grid_is_a_case_for_each_cell_that_is_filled(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text(
        ":grid C.7 | <col> | folder /a | /$project/<row> | <cell>\n"
        ":cols        | viewer | owner\n"
        "listFolder   | yes    | -\n"
        "removeFolder | denied | 404 ResourceNotFound\n",
        encoding="utf-8",
    )
    found = [(case.caller, case.call, case.answer) for case in reading.read(table).cases]
    assert found == [
        ("viewer", "/$project/listFolder", "200"),
        ("viewer", "/$project/removeFolder", "401 PermissionDenied"),
        ("owner", "/$project/removeFolder", "404 ResourceNotFound"),
    ]
