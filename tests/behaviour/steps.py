"""What a set-up can say: each step does what a client would do, as the first user.

`second:` before a step lets the second user take it. What follows a step's name goes into its
call: `closed record {name: a}`. Every case has a project of its own, `$project`, and if it names
it another one, `$other`; `$u` is a text that no other case has.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import httpx2

from tests.behaviour.matching import flow
from tests.behaviour.reading import TableError
from tests.behaviour.server import Server

LEVELS = {
    "viewer": "VIEW",
    "uploader": "UPLOAD",
    "contributor": "CONTRIBUTE",
    "administrator": "ADMINISTER",
}
BASH = {"interpreter": "bash", "distribution": "Ubuntu", "release": "24.04", "version": "0"}
# words after a dollar that the API itself uses
OF_THE_API = {"dnanexus_link", "dnanexus", "and", "or", "not", "xor", "my"}
CLASSES = "project|container|file|record|applet|app|workflow|globalworkflow|job|analysis|user|org"
_NAME = re.compile(r"\$([a-z_]\w*)((?:\.[A-Za-z]\w*)*)")
_BOUND = re.compile(r"([a-z_]\w*)\s*=\s+(.+)", re.DOTALL)
_NUMBERS = itertools.count(1)
_SESSION = secrets.token_hex(3)

Step = Callable[["Run", Any], str]
STEPS: dict[str, Step] = {}


def step(*names: str) -> Callable[[Step], Step]:
    """Declare the function below as the step of these names."""

    def declare(function: Step) -> Step:
        STEPS.update(dict.fromkeys(names, function))
        return function

    return declare


class Run:
    """One case on its way: a client, and what its set-up has made."""

    def __init__(self, server: Server, http: httpx2.Client) -> None:
        self.server = server
        self.http = http
        self.tokens: dict[str, str | None] = {
            **server.tokens, "anonymous": None, "nobody": "no-token-of-anybody",
        }  # fmt: skip
        self.caller = "owner"
        self.made: dict[str, Any] = {"u": f"{_SESSION}{next(_NUMBERS)}"}
        self.projects: list[tuple[str, str]] = []

    # ----------------------------------------------------------------------------- calling

    def post(self, route: str, body: Any = None, *, caller: str | None = None) -> Any:
        """Make a call that has to succeed."""
        response = self.send("POST", route, {} if body is None else body, caller=caller)
        assert response.status_code == 200, f"set-up: {route} {body}: {response.text}"
        return response.json()

    def send(
        self,
        method: str,
        route: str,
        body: Any,
        *,
        caller: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Send anything as anybody; a text goes as it is to an address that has a host."""
        url = route if route.startswith("http") else f"{self.server.url}{route}"
        token = self.tokens.get(caller or self.caller)
        sent = dict(headers or {})
        if not route.startswith("http"):
            sent.setdefault("content-type", "application/json")
            if token is not None:
                sent.setdefault("authorization", f"Bearer {token}")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(method, url, content=content, headers=sent)

    # ----------------------------------------------------------------------------- naming

    def value(self, name: str) -> Any:
        """Return what a name stands for; raises TableError if nothing does."""
        if name not in self.made:
            if name in ("project", "other"):
                self.made[name] = self.a_project({"name": name})
            elif name in ("owner", "second"):
                self.made[name] = self.post("/system/whoami", caller=name)["id"]
            elif name.startswith("no_") and name[3:] in CLASSES.split("|"):
                self.made[name] = f"{name[3:]}-{'Z' * 24}"
            else:
                raise TableError(f"nothing is called ${name}")
        return self.made[name]

    def filled(self, value: Any) -> Any:
        """Return a value with the names in it replaced."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.filled(one) for one in value]
        if isinstance(value, dict):
            return {self._text(str(key)): self.filled(one) for key, one in value.items()}
        return value

    def _text(self, text: str) -> Any:
        whole = _NAME.fullmatch(text)
        if whole and whole[1] not in OF_THE_API:
            return self._named(whole)
        return _NAME.sub(
            lambda match: match[0] if match[1] in OF_THE_API else str(self._named(match)), text
        )

    def _named(self, match: re.Match[str]) -> Any:
        value = self.value(match[1])
        for key in match[2].split(".")[1:]:
            if isinstance(value, str) and f"{match[1]}." in self.made.get("answers", {}):
                value = self.made["answers"][f"{match[1]}."]
            value = value[key]
        return value

    # ----------------------------------------------------------------------------- steps

    def take(self, text: str) -> None:
        """Take one step of a set-up."""
        bound = _BOUND.fullmatch(text)
        name, text = (bound[1], bound[2]) if bound else ("", text)
        self.caller = "second" if text.startswith("second:") else "owner"
        text = text.removeprefix("second:").strip()
        if text.startswith("$"):
            self.made[name] = self.filled(text)
        elif text.startswith("/"):
            route, _, body = text.partition(" ")
            answer = self.post(self.filled(route), self.filled(flow(body)) if body else {})
            made = answer.get("id", answer) if isinstance(answer, dict) else answer
            if name:
                self.made[name] = made
                self.made.setdefault("answers", {})[f"{name}."] = answer
        else:
            word = max(
                (one for one in STEPS if text == one or text.startswith(f"{one} ")),
                key=len,
                default=None,
            )
            if word is None:
                raise TableError(f"no step is called {text!r}")
            rest = text.removeprefix(word).strip()
            given = self.filled(flow(rest)) if rest else {}
            self.made[name or word.split()[-1]] = STEPS[word](self, given)
        self.caller = "owner"

    def a_project(self, body: dict[str, Any]) -> str:
        """Make a project, which is removed when the case is over."""
        project = str(self.post("/project/new", {"name": "project", **body})["id"])
        self.projects.append((self.caller, project))
        return project

    def clean(self) -> None:
        """Remove the projects that are still there."""
        for caller, project in self.projects:
            self.send("POST", f"/{project}/destroy", {"terminateJobs": True}, caller=caller)


# ------------------------------------------------------------------------------------ people


def invite(run: Run, level: str, project: str | None = None) -> str:
    """Give the second user a level."""
    project = project or str(run.value("project"))
    run.post(f"/{project}/invite", {"invitee": run.value("second"), "level": level})
    return project


def _member(level: str) -> Step:
    return lambda run, given: invite(run, level, given or None)


for _role, _level in LEVELS.items():
    STEPS[_role] = _member(_level)


@step("org")
def _org(run: Run, given: Any) -> str:
    handle = f"lab_{run.made['u']}"
    return str(run.post("/org/new", {"handle": handle, "name": "lab", **given})["id"])


# ------------------------------------------------------------------------------------ objects


@step("project")
def _project(run: Run, given: Any) -> str:
    return run.a_project(given)


@step("folder")
def _folder(run: Run, given: Any) -> str:
    run.post(f"/{run.value('project')}/newFolder", {"folder": given, "parents": True})
    return str(given)


def _new(run: Run, class_name: str, body: dict[str, Any]) -> str:
    if "project" not in body:
        body = {"project": run.value("project"), **body}
    return str(run.post(f"/{class_name}/new", body)["id"])


@step("record", "open record")
def _record(run: Run, given: Any) -> str:
    return _new(run, "record", given)


@step("closed record")
def _closed_record(run: Run, given: Any) -> str:
    return _new(run, "record", {"close": True, **given})


@step("hidden record")
def _hidden_record(run: Run, given: Any) -> str:
    return _new(run, "record", {"close": True, "hidden": True, **given})


@step("file", "open file")
def _file(run: Run, given: Any) -> str:
    return _new(run, "file", given)


@step("closed file")
def _closed_file(run: Run, given: Any) -> str:
    content = str(given.pop("content", "hello")).encode()
    file: str = _new(run, "file", given)
    put(run, file, content)
    run.post(f"/{file}/close")
    return file


@step("hidden file")
def _hidden_file(run: Run, given: Any) -> str:
    return _closed_file(run, {"hidden": True, **given})


@step("part")
def _part(run: Run, given: Any) -> str:
    put(run, run.value("file"), str(given or "hello").encode())
    return ""


def put(run: Run, file: str, content: bytes) -> None:
    """Upload a file's first part."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = run.post(f"/{file}/upload", {"index": 1, "size": len(content), "md5": md5})
    response = run.http.put(place["url"], content=content, headers=place["headers"])
    assert response.status_code == 200, response.text


# ------------------------------------------------------------------------------------ executables


def _spec(short: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, **(about if isinstance(about, dict) else {"class": about})}
        for name, about in short.items()
    ]


def _executable(given: dict[str, Any], code: str = "main() { true; }") -> dict[str, Any]:
    body = dict(given)
    if "in" in body:
        body["inputSpec"] = _spec(body.pop("in"))
    if "out" in body:
        body["outputSpec"] = _spec(body.pop("out"))
    body["runSpec"] = {**BASH, "code": code, **body.get("runSpec", {})}
    return body


@step("applet")
def _applet(run: Run, given: Any) -> str:
    """`in` and `out` are short for the specs: {x: int, y: {class: file, optional: true}}."""
    return _new(run, "applet", {"name": "applet", **_executable(given)})


@step("app")
def _app(run: Run, given: Any) -> str:
    body = dict(given)
    own = {key: body.pop(key) for key in ("in", "out", "runSpec", "access") if key in body}
    applet = body.pop("applet", None) or _applet(run, {"in": {}, "out": {}, **own})
    run.made.setdefault("applet", applet)
    return str(run.post("/app/new", {"applet": applet, **_version(run), **body})["id"])


@step("published app")
def _published_app(run: Run, given: Any) -> str:
    app = _app(run, given)
    run.post(f"/{app}/publish")
    return app


def _version(run: Run) -> dict[str, str]:
    return {"name": f"app_{run.made['u']}", "version": "1.0.0"}


@step("workflow")
def _workflow(run: Run, given: Any) -> str:
    return _new(run, "workflow", {"name": "workflow", **given})


@step("stage")
def _stage(run: Run, given: Any) -> str:
    """Add a stage to `$workflow`, of `$applet` unless `executable` says another."""
    workflow = run.value("workflow")
    version = run.post(f"/{workflow}/describe")["editVersion"]
    body = {"editVersion": version, **given}
    if "executable" not in body:
        body["executable"] = run.value("applet")
    return str(run.post(f"/{workflow}/addStage", body)["stage"])


@step("closed workflow")
def _closed_workflow(run: Run, given: Any) -> str:
    workflow = _workflow(run, given)
    run.post(f"/{workflow}/close")
    return workflow


@step("globalworkflow")
def _global_workflow(run: Run, given: Any) -> str:
    body = {**_version(run), "name": f"gw_{run.made['u']}", **given}
    if "regionalOptions" not in body:
        workflow = {"workflow": run.value("workflow")}
        body["regionalOptions"] = {"aws:us-east-1": workflow}
    return str(run.post("/globalworkflow/new", body)["id"])


# ------------------------------------------------------------------------------------ jobs

TOKEN = (
    "main() { dx api $DX_JOB_ID setProperties"
    ' "{\\"properties\\": {\\"token\\": \\"$(echo "$DX_SECURITY_CONTEXT"'
    ' | sed \'s/.*"auth_token": *"//; s/".*//\')\\"}}" && sleep 3600; }'
)


def _job(run: Run, code: str, given: dict[str, Any]) -> str:
    body = dict(given)
    applet = body.pop("applet", None)
    if applet is None:
        own: dict[str, Any] = {
            key: body.pop(key) for key in ("in", "out", "access", "runSpec") if key in body
        }
        applet = run.made["applet"] = _applet(run, _executable(own, code))
    project = body.pop("project", None) or run.value("project")
    answer = run.post(f"/{applet}/run", {"project": project, "input": {}, **body})
    return str(answer["id"])


@step("waiting job")
def _waiting_job(run: Run, given: Any) -> str:
    """A job whose input is an open file, `$open`."""
    run.made["open"] = _file(run, {"name": "open"})
    body = {"in": {"x": "file"}, "input": {"x": {"$dnanexus_link": run.made["open"]}}, **given}
    return _job(run, "main() { true; }", body)


@step("terminated job")
def _terminated_job(run: Run, given: Any) -> str:
    job = _waiting_job(run, given)
    run.post(f"/{job}/terminate")
    return job


@step("runnable job")
def _runnable_job(run: Run, given: Any) -> str:
    return _job(run, "main() { sleep 60; }", given)


@step("done job")
def _done_job(run: Run, given: Any) -> str:
    output = given.pop("output", {})
    text = json.dumps(output).replace("'", "'\\''")
    job = _job(run, f"main() {{ echo '{text}' > job_output.json; }}", given)
    run.server.end(job, output, None)
    return job


@step("failed job")
def _failed_job(run: Run, given: Any) -> str:
    error = {"type": given.pop("reason", "AppError"), "message": "it broke"}
    text = json.dumps({"error": error})
    job = _job(run, f"main() {{ echo '{text}' > job_error.json; exit 1; }}", given)
    run.server.end(job, None, error)
    return job


@step("running job")
def _running_job(run: Run, given: Any) -> str:
    job = _job(run, TOKEN, {"access": {"project": "CONTRIBUTE", "network": ["*"]}, **given})
    run.tokens["job"] = run.made["token"] = run.server.begin(job)
    return job


@step("analysis")
def _analysis(run: Run, given: Any) -> str:
    """Run `$workflow`; `$jobs` are its stages' executions."""
    body = {"project": run.value("project"), "input": {}, **given}
    answer = run.post(f"/{run.value('workflow')}/run", body)
    run.made["jobs"] = answer["stages"]
    for index, stage in enumerate(answer["stages"]):
        run.made[f"job_{index}"] = stage
    return str(answer["id"])


@step("end")
def _end(run: Run, given: Any) -> str:
    """Let a job of own code end: `end {job: $job_0, output: {...}}`."""
    run.server.end(given["job"], given.get("output", {}), given.get("failure"))
    return str(given["job"])


@step("over")
def _over(run: Run, given: Any) -> str:
    """Wait for the end of what was terminated, which may run already: `over $job`."""
    run.server.over(str(given))
    return str(given)
