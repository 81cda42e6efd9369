"""No call made up from the document is a bug of ours; `just schemathesis` makes many more."""

from __future__ import annotations

from tests.fuzz import documents, fuzzing

CALLS = 500
PATTERN = "^project-[0-9A-Za-z]{4}$"


def test_calls_made_up_from_the_document_are_answered_as_it_says() -> None:
    with fuzzing.a_server() as server:
        found = fuzzing.Fuzzer(server, seed=1).run(CALLS)
        story = server.story()
    wrong = "\n".join(f"{problem}\n    {call}" for problem, call in found.wrong.items())
    assert not wrong, f"{wrong}\n{story}"
    assert found.calls >= CALLS
    assert found.statuses[200] > CALLS / 10, "too few calls are right to find much"
    assert found.statuses[422] > CALLS / 10


def test_ids_of_what_there_is_stand_where_they_fit() -> None:
    known = ["project-abcd", "user-x"]
    schema = {"properties": {"project": {"type": "string", "pattern": PATTERN}}}
    found = documents.with_known(schema, known)["properties"]["project"]
    assert found["anyOf"][0]["enum"] == ["project-abcd"]
    assert documents.ids_of("/project-{id}/describe", known) == ["abcd"]
    assert documents.ids_of("/project/new", known) == []
