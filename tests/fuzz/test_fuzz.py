"""No call made up from the document is a bug of ours; `just schemathesis` makes many more."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.fuzz import documents, fuzzing

CALLS = 500
ROUTES_MIN = 200
# How much of it a failure tells.
FIRST_MAX, LINE_MAX, CALL_MAX, STORY_MAX = 3, 200, 400, 6000
PATTERN = "^project-[0-9A-Za-z]{4}$"


def test_calls_made_up_from_the_document_are_answered_as_it_says() -> None:
    with fuzzing.a_server() as server:
        found = fuzzing.Fuzzer(server, seed=1).run(CALLS)
        story = server.story()
    assert not found.wrong, told(found.wrong, story)
    assert found.calls >= CALLS
    assert len(found.routes) > ROUTES_MIN
    assert found.statuses[200] > CALLS / 4, "too few calls are right to find much"
    assert found.statuses[422] > CALLS / 20


def told(wrong: dict[str, str], story: str) -> str:
    """Return what is wrong, the first problems by a line each before all calls."""
    first = [problem[:LINE_MAX] for problem in [*wrong][:FIRST_MAX]]
    calls = [f"{problem}\n    {call[:CALL_MAX]}" for problem, call in wrong.items()]
    return "\n".join([f"{len(wrong)} problems:", *first, *calls, story[-STORY_MAX:]])


def test_a_failure_begins_with_the_problems() -> None:
    wrong = {f"POST /{number}: status 500": "curl " * 1000 for number in range(5)}
    lines = told(wrong, "a traceback").splitlines()
    assert lines[:4] == ["5 problems:", *[f"POST /{number}: status 500" for number in range(3)]]
    assert lines[-1] == "a traceback"
    assert len("\n".join(lines)) < 5 * (CALL_MAX + LINE_MAX)


def test_ids_of_what_there_is_stand_where_they_fit() -> None:
    known = ["project-abcd", "user-x"]
    schema = {"properties": {"project": {"type": "string", "pattern": PATTERN}}}
    found = documents.with_known(schema, known)["properties"]["project"]
    assert found["anyOf"][0]["enum"] == ["project-abcd"]
    assert documents.ids_of("/project-{id}/describe", known) == ["abcd"]
    assert documents.ids_of("/project/new", known) == []


def answer(status: int, content: str, **headers: str) -> Any:
    """Return an answer as it should be, but for some headers."""
    usual = {
        "Content-Type": "application/json",
        "X-Request-ID": "1700000000000-1",
        "X-Content-Type-Options": "nosniff",
    }
    found = {name: [value] for name, value in {**usual, **headers}.items() if value}
    return SimpleNamespace(status_code=status, content=content.encode(), headers=found)


def test_calls_that_are_as_described_are_about_what_there_is() -> None:
    known = ["project-abcd", "record-" + "0" * 24]
    text, number = {"type": ["string", "null"]}, {"type": "integer"}
    schema = {
        "properties": {
            "project": {"type": "string", "pattern": PATTERN},
            "name": text,
            "objects": {"type": "array", "items": {"type": "string"}},
            "editVersion": number,
            "class": {"type": "string", "enum": ["file"]},
            "query": text,
        }
    }
    found = documents.with_right(schema, known)["properties"]
    assert found["project"] == {"enum": ["project-abcd"]}
    assert found["name"]["enum"] == [*documents.RIGHT_WORDS["name"], None]
    assert found["objects"]["items"] == {"enum": known[1:]}
    assert found["editVersion"] == {"enum": [0]}
    assert (found["class"], found["query"]) == (schema["properties"]["class"], text)


def test_a_call_that_was_made_up_is_mended_by_a_right_one() -> None:
    luck = random.Random(1)
    made_up = {"project": "x", "odd": 1, "name": "n"}
    right = {"project": "y", "folder": "/", "objects": []}
    found = [documents.mended(made_up, right, ["objects"], luck) for _ in range(100)]
    assert all("project" in body and "objects" in body for body in found)
    assert {body["project"] for body in found} == {"x", "y"}
    for optional in ("odd", "name", "folder"):
        assert 0 < sum(optional in body for body in found) < 100, optional


REFUSED = '{"error": {"type": "InvalidInput", "message": "m"}}'
WRONG = {
    "a bug": (answer(500, '{"error": {"type": "InternalError", "message": "m"}}'), "status 500"),
    "no id": (answer(422, REFUSED, **{"X-Request-ID": ""}), "no X-Request-ID"),
    "sniffed": (answer(422, REFUSED, **{"X-Content-Type-Options": ""}), "no nosniff"),
    "a page": (answer(404, "<html>", **{"Content-Type": "text/html"}), "that is not JSON"),
    "another status": (answer(400, REFUSED), "with status 400"),
    "no message": (answer(422, '{"error": {"type": "InvalidInput"}}'), "without message"),
    "other keys": (answer(200, '{"user": "x"}'), "not as described"),
}


@pytest.mark.parametrize("response, problem", WRONG.values(), ids=WRONG)
def test_an_answer_that_is_wrong_is_found(response: Any, problem: str) -> None:
    case: Any = SimpleNamespace(path="/system/whoami", method="POST")
    schema = {"type": "object", "required": ["id"]}
    validators = {("/system/whoami", "post"): OAS31Validator(schema)}
    found = list(fuzzing.problems_of(case, response, validators))
    assert len(found) == 1, found
    assert problem in found[0]
    good = answer(200, '{"id": "user-x"}')
    assert list(fuzzing.problems_of(case, good, validators)) == []
