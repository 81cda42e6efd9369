"""Make calls up from the document, send them, and look at every answer.

Schemathesis makes calls of two kinds: those that are as described, and those that are not. What is
looked at: no answer is a bug of ours; each has its headers; each refusal has the contract's form;
each success is as the document describes it.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final

import hypothesis
import msgspec
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from openapi_schema_validator import OAS31Validator
from schemathesis import Case, GenerationMode

from plasmid.domain import errors
from tests.fuzz import documents
from tests.fuzz.documents import RightCall

REQUEST_ID: Final = re.compile(r"\d{13}-\d{1,6}")
STATUSES: Final = {one.__name__: one.status for one in errors.ApiError.__subclasses__()}
# Told to by the call itself.
LATER: Final = "/system/comeBackLater"
# Refused in a form of its own, which is that of OAuth.
OAUTH: Final = "/oauth2/token"
AnyCase = Case[Any]
KEPT_MAX: Final = 60
# How long a call may take on a machine with much beside.
ANSWER_SECONDS_MAX: Final = 120.0
# Of the calls that are as described: how many are mended to what can be done, and for how many of
# those that succeed all is made as it was.
MENDED, RESTORED = 0.85, 0.8


class Fuzzed(msgspec.Struct):
    """What came of it: how many calls, the statuses of the answers, and what was wrong."""

    calls: int = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    routes: Counter[str] = msgspec.field(default_factory=Counter)
    wrong: dict[str, str] = msgspec.field(default_factory=dict)


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        told = json.loads(self._line())
        self.url: str = told["url"]
        self.ids: list[str] = told["ids"]
        self.tokens: dict[str, str] = told["tokens"]
        self.calls = msgspec.convert(told["calls"], dict[str, RightCall])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server ended:\n{self.story()}"
        return line

    def restore(self) -> None:
        """Have all be as in the beginning."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._line()

    def story(self) -> str:
        """Return what it has said of its bugs."""
        self._log.seek(0)
        return self._log.read()


@contextmanager
def a_server() -> Iterator[Server]:
    """Run a server for the length of a block."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.serving"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            with process:
                yield Server(process, log)
                assert process.stdin is not None
                process.stdin.close()
        finally:
            process.kill()


class Fuzzer:
    """Makes calls and keeps what was wrong."""

    def __init__(self, server: Server, *, seed: int) -> None:
        self.found = Fuzzed()
        self._server = server
        self._random = random.Random(seed)
        self._seed = seed
        self._session = requests.Session()
        self._session.trust_env = False
        plain = self._session.get(f"{server.url}/openapi.json").json()
        self._document = plain
        self._schemas = {
            GenerationMode.POSITIVE: documents.with_right(plain, server.ids),
            GenerationMode.NEGATIVE: documents.with_known(plain, server.ids),
        }
        components = {"components": plain["components"]}
        self._answers = {
            (path, method): OAS31Validator({**_answer_of(operation), **components})
            for path, item in plain["paths"].items()
            for method, operation in item.items()
        }

    def run(self, calls: int) -> Fuzzed:
        """Make at least so many calls, of every route about as many."""
        by_mode = {
            mode: {one.ok().label: one.ok() for one in _loaded(schema)}
            for mode, schema in self._schemas.items()
        }
        labels = sorted(by_mode[GenerationMode.POSITIVE])
        for turn in range(100):
            each = (calls - self.found.calls) / (3 * len(labels))
            for label in self._random.sample(labels, len(labels)):
                if self.found.calls < calls:
                    modes = {mode: found[label] for mode, found in by_mode.items()}
                    self._calls_of(modes, each, turn)
        return self.found

    def _calls_of(self, modes: dict[GenerationMode, Any], each: float, turn: int) -> None:
        """Make calls of a route: of those that are as described twice as many as of the others."""
        for mode, operation in modes.items():
            is_right = mode is GenerationMode.POSITIVE
            count = max(1, int(each * 2 if is_right else each))
            self._make_up(operation, mode, count=count, turn=turn)
            if operation.method != "get":
                self._server.restore()

    def _make_up(self, operation: Any, mode: GenerationMode, *, count: int, turn: int) -> None:
        strategy = operation.as_strategy(generation_mode=mode)

        @hypothesis.seed(f"{self._seed} {turn} {operation.label} {mode}")
        @hypothesis.settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(strategy)
        def call(case: AnyCase) -> None:
            self._call(case, is_right=mode is GenerationMode.POSITIVE)

        with suppress(Unsatisfiable):  # nothing that is wrong can be made up for a route
            call()

    def _call(self, case: AnyCase, *, is_right: bool) -> None:
        self.found.calls += 1
        self.found.routes[case.operation.label] += 1
        right = self._right(case) if is_right and self._random.random() < MENDED else None
        token = self._mend(case, right) if right else self._vary(case)
        answer = self._answer(case, token)
        writes = case.operation.definition.raw.get("x-mode") == "write"
        if right and writes and answer.status_code == 200 and self._random.random() < RESTORED:
            self._server.restore()

    def _right(self, case: AnyCase) -> RightCall | None:
        """Return what can be done on the path of a call."""
        calls = self._server.calls
        return calls.get(f"{case.method.upper()} {case.path}") or calls.get(case.path)

    def _vary(self, case: AnyCase) -> str:
        """Let a call be mostly about what there is; return by whose token it is made."""
        ids = documents.ids_of(case.path, self._server.ids)
        if ids and self._random.random() < 0.8:
            case.path_parameters["id"] = self._random.choice(ids)
        tokens = self._server.tokens
        return self._random.choices(
            [tokens["alice"], tokens["job"], tokens["bob"], "none such", ""], [80, 10, 6, 2, 2]
        )[0]

    def _mend(self, case: AnyCase, right: RightCall) -> str:
        """Let a call be about what it can be done on; return by whose token it is made."""
        for name, words in right.path.items():
            case.path_parameters[name] = self._random.choice(words)
        if right.body is not None:
            required = _required(case)
            case.body = documents.mended(case.body, right.body, required, self._random)
        return self._server.tokens[right.caller]

    def _answer(self, case: AnyCase, token: str) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = case.call(
            base_url=self._server.url,
            headers=headers,
            session=self._session,
            timeout=ANSWER_SECONDS_MAX,
        )
        self.found.statuses[answer.status_code] += 1
        for problem in problems_of(case, answer, self._answers):
            key = f"{case.operation.label}: {problem}"
            if key not in self.found.wrong and len(self.found.wrong) < KEPT_MAX:
                content = answer.content[:300].decode(errors="replace")
                self.found.wrong[key] = f"{case.as_curl_command()[:1500]}\n    {content}"
        return answer


def problems_of(
    case: AnyCase, answer: Any, answers: dict[tuple[str, str], OAS31Validator]
) -> Iterator[str]:
    """Give what is wrong with an answer; `answers` know what each route gives."""
    headers = {name.lower(): values[0] for name, values in answer.headers.items()}
    status = answer.status_code
    if status >= 500 and not (status == 503 and case.path == LATER):
        yield f"status {status}"
    if not REQUEST_ID.fullmatch(headers.get("x-request-id", "")):
        yield "no X-Request-ID"
    if headers.get("x-content-type-options") != "nosniff":
        yield "no nosniff"
    if status >= 400 and status != 416 and case.path != OAUTH:
        yield from _problems_of_refusal(case, answer, headers)
    elif status == 200 and headers.get("content-type") == "application/json":
        for error in answers[case.path, case.method.lower()].iter_errors(
            json.loads(answer.content)
        ):
            yield f"an answer that is not as described: {error.message[:100]}"


def _loaded(schema: dict[str, Any]) -> list[Any]:
    return list(schemathesis.openapi.from_dict(schema).get_all_operations())


def _required(case: AnyCase) -> list[str]:
    """Return the keys that the body of a call has to have."""
    raw = case.operation.definition.raw
    content = raw.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    found: list[str] = schema.get("required", [])
    return found


def _answer_of(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation["responses"].get("200", {}).get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def _problems_of_refusal(case: AnyCase, answer: Any, headers: dict[str, str]) -> Iterator[str]:
    if not headers.get("content-type", "").startswith("application/json"):
        yield f"status {answer.status_code} that is not JSON"
        return
    error = json.loads(answer.content).get("error", {})
    if not error.get("message"):
        yield "an error without message"
    is_part = case.path.startswith("/U/")  # the client repeats a part after 400 only (A.8)
    if STATUSES.get(error.get("type")) != answer.status_code and not is_part:
        yield f"an error {error.get('type')} with status {answer.status_code}"
