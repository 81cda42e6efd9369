"""Bodies that are meant to break a server: it refuses them with bounded memory, and goes on.

The server is a process of its own, so that its memory can be measured and others can call it
meanwhile.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from plasmid.api.asgi import BODY_BYTES_MAX
from plasmid.api.http_protocol import HEAD_BYTES_MAX
from plasmid.methods.decode import VALUES_MAX
from tests.fuzz import fuzzing

MIB = 1 << 20
GIB = 1 << 30
# Beyond what the server needs anyway: the longest body twice, as pieces and as one.
GROWTH_MIB_MAX = 2 * BODY_BYTES_MAX // MIB + 64
# How long somebody else may have to wait, on a machine with much beside.
OTHERS_SECONDS_MAX = 6.0
MANY = 1_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[fuzzing.Server]:
    """A server with one of everything."""
    with fuzzing.a_server() as found:
        yield found


def resident_mib(server: fuzzing.Server) -> int:
    """Return how much memory the server has had at most, since it was last asked to forget."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def forget_peak(server: fuzzing.Server) -> int:
    """Begin to measure the server's memory again; return what it has now."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    return resident_mib(server)


def post(server: fuzzing.Server, route: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Make a call as alice and return status and answer."""
    content = body if isinstance(body, bytes) or not isinstance(body, (dict, list)) else None
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    headers = {
        "authorization": f"Bearer {server.tokens['alice']}",
        "content-type": "application/json",
    }
    sent = json.dumps(body).encode() if content is None else content
    connection.request("POST", route, sent, headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert fuzzing.REQUEST_ID.fullmatch(response.headers["x-request-id"])
    connection.close()
    return response.status, answer


def refusal(server: fuzzing.Server, route: str, body: Any) -> tuple[str, str]:
    """Make a call that must be refused, and not by a bug; return the type and the message."""
    status, answer = post(server, route, body)
    error = answer["error"]
    assert fuzzing.STATUSES[error["type"]] == status < 500
    return error["type"], error["message"]


@contextmanager
def others_answered(server: fuzzing.Server) -> Iterator[None]:
    """Check that another caller is answered all the time of a block."""
    over = threading.Event()
    waits = [0.0]

    def ask() -> None:
        while not over.is_set():
            begun = time.monotonic()
            assert post(server, "/system/whoami", {})[0] == 200
            waits.append(time.monotonic() - begun)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert max(waits) < OTHERS_SECONDS_MAX, f"others waited {max(waits):.1f} s"


def of_class(server: fuzzing.Server, class_name: str) -> str:
    """Return an id that there is."""
    return next(found for found in server.ids if found.startswith(f"{class_name}-"))


def test_a_gigabyte_of_json_is_refused_and_not_kept(server: fuzzing.Server) -> None:
    before_mib = forget_peak(server)

    def pieces() -> Iterator[bytes]:
        yield b'{"a": "'
        for _ in range(GIB // MIB):
            yield b"x" * MIB
        yield b'"}'

    with others_answered(server):
        kind, message = refusal(server, "/system/greet", pieces())
    assert (kind, message) == (
        "InvalidInput",
        f"The request body is larger than {BODY_BYTES_MAX} bytes",
    )
    assert resident_mib(server) - before_mib < GROWTH_MIB_MAX


def test_a_body_that_announces_a_gigabyte_is_refused_before_it_comes(
    server: fuzzing.Server,
) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /system/greet HTTP/1.1\r\nhost: x\r\ncontent-length: {GIB}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
def test_json_of_depth_100000_is_refused(
    server: fuzzing.Server, opening: bytes, closing: bytes
) -> None:
    body = b'{"x":' + opening * 100_000 + b"1" + closing * 100_000 + b"}"
    for route in ("/system/findDataObjects", f"/{of_class(server, 'record')}/setDetails"):
        assert refusal(server, route, body)[0] in ("MalformedJSON", "InvalidInput")


def test_many_small_values_neither_fill_the_memory_nor_hold_the_server(
    server: fuzzing.Server,
) -> None:
    before_mib = forget_peak(server)
    for inner in (b"[],", b"{},", b'"a",', b"1,", b'{"a":[1]},'):
        count = (BODY_BYTES_MAX - 100) // len(inner)
        with others_answered(server):
            kind, message = refusal(
                server, "/system/findDataObjects", b'{"id":[' + inner * count + b"1]}"
            )
        assert kind == "InvalidInput"
        assert f"more than {VALUES_MAX} values" in message
    assert resident_mib(server) - before_mib < GROWTH_MIB_MAX


@pytest.mark.parametrize(
    "route, body",
    [
        ("/{project}/removeObjects", {"objects": "MANY", "force": True}),
        ("/{project}/move", {"objects": "MANY", "destination": "/f"}),
        ("/system/describeDataObjects", {"objects": "MANY"}),
        ("/system/findDataObjects", {"id": "MANY"}),
        ("/{project}/addTags", {"tags": "MANY"}),
        ("/{applet}/run", {"project": "{project}", "input": {}, "dependsOn": "MANY"}),
        ("/record/new", {"project": "{project}", "details": "MANY"}),
    ],
)
def test_a_million_ids_are_refused_at_once(
    server: fuzzing.Server, route: str, body: dict[str, Any]
) -> None:
    project, applet = of_class(server, "project"), of_class(server, "applet")
    many = [f"file-{number:024d}" for number in range(MANY)]
    values = {"MANY": many, "{project}": project}
    given = {
        key: values.get(value, value) if isinstance(value, str) else value
        for key, value in body.items()
    }
    content = json.dumps(given).encode()
    with others_answered(server):
        kind, _ = refusal(server, route.format(project=project, applet=applet), content)
    assert kind == "InvalidInput"


@pytest.mark.parametrize(
    "name",
    [
        {"regexp": "(a+)+$"},
        {"regexp": "((a|a)*)*b"},
        {"regexp": "(x+x+)+y"},
        {"regexp": "((a{1,100}){1,100}){1,100}"},
        {"regexp": "(?=a)b"},
        {"regexp": r"(a)\1"},
        {"regexp": "(" * 400 + "a" + ")*" * 400},
        {"glob": "*a" * 499},
        {"glob": "?" * 1000},
    ],
)
def test_a_pattern_that_explodes_holds_nobody_up(
    server: fuzzing.Server, name: dict[str, str]
) -> None:
    project = of_class(server, "project")
    for _ in range(5):
        made = post(server, "/record/new", {"project": project, "name": "a" * 5000 + "!"})
        assert made[0] == 200
    with others_answered(server):
        begun = time.monotonic()
        status, _ = post(server, "/system/findDataObjects", {"name": name})
        assert status in (200, 422)
        assert time.monotonic() - begun < OTHERS_SECONDS_MAX
    server.restore()


def test_a_head_without_end_is_refused_as_json(server: fuzzing.Server) -> None:
    before_mib = forget_peak(server)
    host, _, port = server.url.removeprefix("http://").partition(":")
    for head in (b"GET /" + b"x" * (2 * HEAD_BYTES_MAX), b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MIB):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            with suppress(ConnectionError):  # it may have hung up already
                connection.sendall(head)
            try:
                answer = connection.recv(4096)
            except ConnectionError:
                answer = b""
        assert not answer or b'"type":"MalformedJSON"' in answer
    assert resident_mib(server) - before_mib < 32
    assert post(server, "/system/whoami", {})[0] == 200


def test_what_is_no_http_is_refused_as_json(server: fuzzing.Server) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        answer = connection.recv(4096)
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(content)["error"]["type"] == "MalformedJSON"
