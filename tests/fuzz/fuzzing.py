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

REQUEST_ID: Final = re.compile(r"\d{13}-\d{1,6}")
STATUSES: Final = {one.__name__: one.status for one in errors.ApiError.__subclasses__()}
# Told to by the call itself.
LATER: Final = "/system/comeBackLater"
# Refused in a form of its own, which is that of OAuth.
OAUTH: Final = "/oauth2/token"
AnyCase = Case[Any]
KEPT_MAX: Final = 60


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
        self._schema = schemathesis.openapi.from_dict(documents.with_known(plain, server.ids))
        components = {"components": plain["components"]}
        self._answers = {
            (path, method): OAS31Validator({**_answer_of(operation), **components})
            for path, item in plain["paths"].items()
            for method, operation in item.items()
        }

    def run(self, calls: int) -> Fuzzed:
        """Make at least so many calls, of every route about as many."""
        every: Any = self._schema.get_all_operations()
        operations = [one.ok() for one in every]
        for turn in range(100):
            each = max(1, (calls - self.found.calls) // (2 * len(operations)))
            for operation in self._random.sample(operations, len(operations)):
                if self.found.calls < calls:
                    self._calls_of(operation, each, turn)
        return self.found

    def _calls_of(self, operation: Any, each: int, turn: int) -> None:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)

            @hypothesis.seed(f"{self._seed} {turn} {operation.label} {mode}")
            @hypothesis.settings(
                max_examples=each,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @hypothesis.given(strategy)
            def call(case: AnyCase) -> None:
                self._call(case)

            with suppress(Unsatisfiable):  # nothing that is wrong can be made up for a route
                call()
        if operation.method != "get":
            self._server.restore()

    def _call(self, case: AnyCase) -> None:
        self.found.calls += 1
        self.found.routes[case.operation.label] += 1
        ids = documents.ids_of(case.path, self._server.ids)
        if ids and self._random.random() < 0.8:
            case.path_parameters["id"] = self._random.choice(ids)
        tokens = self._server.tokens
        token = self._random.choices(
            [tokens["alice"], tokens["job"], tokens["bob"], "none such", ""], [80, 10, 6, 2, 2]
        )[0]
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = case.call(base_url=self._server.url, headers=headers, session=self._session)
        self.found.statuses[answer.status_code] += 1
        for problem in problems_of(case, answer, self._answers):
            key = f"{case.operation.label}: {problem}"
            if key not in self.found.wrong and len(self.found.wrong) < KEPT_MAX:
                content = answer.content[:300].decode(errors="replace")
                self.found.wrong[key] = f"{case.as_curl_command()[:1500]}\n    {content}"


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
