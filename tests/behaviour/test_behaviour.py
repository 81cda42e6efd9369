"""Every case of `cases/*.txt`, called on a server. reading.py says how a case is written."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

from tests.behaviour import reading, steps
from tests.behaviour.matching import contains, differs, flow
from tests.behaviour.reading import Case
from tests.behaviour.server import Server
from tests.behaviour.steps import LEVELS, Run

CASES_MIN = 1_000
TABLES = reading.read_all()
PENDING = reading.read_pending()
WRITTEN = [case for table in TABLES.values() for case in table.cases]
CASES = [case for case in WRITTEN if case.key not in PENDING]
_CALL = re.compile(r"(?:(GET|PUT|POST|OPTIONS|HEAD|DELETE) )?(\S+)\s*(.*)", re.DOTALL)
_HEADERS = re.compile(r"!headers (\{.*?\}|\S+)\s*(.*)", re.DOTALL)
_ANSWER = re.compile(r"(\d{3})(?:\s+([A-Z]\w+))?\s*(.*)", re.DOTALL)
_shared: dict[tuple[str, str], Run] = {}


def set_up(run: Run, case: Case) -> None:
    """Take the steps of a case, and let its caller into the project."""
    for text in filter(None, (part.strip() for part in case.setup.split(";"))):
        if text.startswith("use "):
            use(run, case.area, text.removeprefix("use ").strip())
        else:
            run.take(text)
    if case.caller in LEVELS:
        steps.invite(run, LEVELS[case.caller])


def use(run: Run, area: str, name: str) -> None:
    """Let a case have what is shared, which is made when the first one asks for it."""
    key = (area, name)
    if key not in _shared:
        made = _shared[key] = Run(run.server, run.http)
        for text in TABLES[area].shared[name].split(";"):
            made.take(text.strip())
    run.made = {**_shared[key].made, "u": run.made["u"]}
    run.tokens = dict(_shared[key].tokens)


def send(run: Run, case: Case) -> httpx2.Response:
    """Make the call of a case."""
    match = _CALL.fullmatch(case.call)
    assert match, case.call
    method, route, rest = match[1] or "POST", run.filled(match[2]), match[3]
    headers: dict[str, str] = {}
    if given := _HEADERS.fullmatch(rest):
        headers, rest = run.filled(flow(given[1])), given[2]
    if rest.startswith("!raw"):
        body: Any = rest.removeprefix("!raw").strip().encode()
    else:
        body = run.filled(flow(rest)) if rest else {}
    if method == "PUT" and isinstance(body, str):
        body = body.encode()
    caller = "second" if case.caller in (*LEVELS, "stranger") else case.caller
    return run.send(method, route, body, caller=caller, headers=headers)


def wrong(run: Run, case: Case, response: httpx2.Response) -> str | None:
    """Return how an answer differs from what the case expects, or None."""
    match = _ANSWER.fullmatch(case.answer)
    assert match, f"{case.where}: what is {case.answer!r}?"
    status, kind, rest = int(match[1]), match[2], match[3]
    if response.status_code != status:
        return f"status {response.status_code} instead of {status}"
    if kind:
        return _wrong_error(kind, run.filled(rest), response.json()["error"])
    if rest.startswith(("{", "==", "names", "in order")):
        return _wrong_value(rest, run, response.json())
    if rest.startswith("body"):
        return differs(run.filled(rest.removeprefix("body").strip()), response.text, "body")
    if rest.startswith("header"):
        name, _, value = rest.removeprefix("header ").partition(":")
        return differs(run.filled(value.strip()), response.headers.get(name), name)
    assert not rest, f"{case.where}: what is {rest!r}?"
    return None


def _wrong_error(kind: str, rest: str, error: dict[str, Any]) -> str | None:
    text = rest[1:].strip()
    if error["type"] != kind:
        return f"{error['type']} instead of {kind}"
    if rest.startswith("=") and error["message"] != text:
        return f"the message is not {text!r}"
    if rest.startswith("~") and text.lower() not in error["message"].lower():
        return f"the message does not say {text!r}"
    return None


def _wrong_value(rest: str, run: Run, found: Any) -> str | None:
    if rest.startswith(("names", "in order")):
        names = [one["describe"]["name"] for one in found["results"]]
        if rest.startswith("in order"):
            return differs(rest.removeprefix("in order").split(), names, "names")
        return differs(sorted(rest.removeprefix("names").split()), sorted(names), "names")
    if rest.startswith("=="):
        return differs(run.filled(flow(rest.removeprefix("==").strip())), found)
    return contains(run.filled(flow(rest)), found)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.where}-{case.section}" for case in CASES])
def test_what_the_contract_says(case: Case, server: Server, http: httpx2.Client) -> None:
    run = Run(server, http)
    try:
        set_up(run, case)
        response = send(run, case)
        text = wrong(run, case, response)
        assert text is None, (
            f"{case.where} ({case.section}) as {case.caller}\n  {case.setup}\n  {case.call}\n"
            f"  expected: {case.answer}\n  answered: {response.status_code} {response.text[:800]}\n"
            f"  {text}"
        )
    finally:
        run.clean()


def test_there_are_a_thousand_cases_beside_those_of_permissions() -> None:
    """A role is a column of the permissions' grids; the others have their answers one by one."""
    others = [case for case in CASES if case.area != "permissions"]
    assert len(others) >= CASES_MIN, len(others)


def test_no_case_is_written_twice() -> None:
    seen: dict[tuple[str, ...], str] = {}
    for case in WRITTEN:
        assert case.key not in seen, f"{case.where} is {seen[case.key]}"
        seen[case.key] = case.where


def test_what_is_pending_stands_in_the_tables() -> None:
    assert {case.key for case in WRITTEN} >= PENDING
