"""No call made up from the document is a bug of ours; `just schemathesis` makes many more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.fuzz import documents, fuzzing

CALLS = 500
ROUTES_MIN = 200
PATTERN = "^project-[0-9A-Za-z]{4}$"


@pytest.mark.timeout(600)  # seconds on a machine with nothing beside
def test_calls_made_up_from_the_document_are_answered_as_it_says() -> None:
    with fuzzing.a_server() as server:
        found = fuzzing.Fuzzer(server, seed=1).run(CALLS)
        story = server.story()
    wrong = "\n".join(f"{problem}\n    {call}" for problem, call in found.wrong.items())
    assert not wrong, f"{wrong}\n{story}"
    assert found.calls >= CALLS
    assert len(found.routes) > ROUTES_MIN
    assert found.statuses[200] > CALLS / 10, "too few calls are right to find much"
    assert found.statuses[422] > CALLS / 10


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
