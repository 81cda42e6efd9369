"""What Plasmid is measured against: podman, a bare Starlette route, cat and dd."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SHIFT = 300_000
IMAGE = "localhost/plasmid-bench:base"
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
BARE_ROUTE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

BODY = open(sys.argv[2], "rb").read()

async def answer(request):
    return Response(BODY, media_type="application/json")

app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, http="httptools",
            loop="uvloop", lifespan="off", server_header=False, date_header=False)
"""
BARE_FILE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

async def answer(request):
    return FileResponse(sys.argv[2])

app = Starlette(routes=[Route("/{path:path}", answer)])
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False, http="httptools",
            loop="uvloop", lifespan="off", server_header=False, date_header=False)
"""


def import_base(root: Path, scratch: Path) -> None:
    """Give podman the base image of the jobs, with the ids shifted back."""
    present = subprocess.run(["podman", "image", "exists", IMAGE], check=False)
    if present.returncode == 0:
        return
    archive = scratch / "base.tar"

    def unshifted(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid = max(entry.uid - SHIFT, 0), max(entry.gid - SHIFT, 0)
        return entry

    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".", filter=unshifted)
    subprocess.run(["podman", "import", str(archive), IMAGE], check=True, capture_output=True)
    archive.unlink()


@cache
def _runtime() -> tuple[str, ...]:
    """Return the flags of the first runtime with which podman works (crun: no hybrid cgroups)."""
    for flags in ((), ("--runtime", "runc")):
        command = ["podman", *flags, "run", "--rm", "--network", "none", *ULIMITS, IMAGE, "true"]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return flags
    raise RuntimeError("podman runs nothing here, neither with crun nor with runc")


def podman(*command: str) -> list[str]:
    """Return the command line that runs a command in the base image under podman."""
    flags = ("run", "--rm", "--network", "none", *ULIMITS)
    return ["podman", *_runtime(), *flags, IMAGE, *command]


def podman_seconds(*command: str) -> float:
    """Return how long one podman run takes."""
    started = time.perf_counter()
    subprocess.run(podman(*command), check=True, capture_output=True)
    return time.perf_counter() - started


def podman_many_seconds(count: int) -> float:
    """Return how long `count` podman runs of nothing take, two at a time."""
    line = " ".join(podman("true"))
    started = time.perf_counter()
    subprocess.run(
        ["xargs", "-P2", "-I{}", "sh", "-c", line],
        input="\n".join(str(number) for number in range(count)).encode(),
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def bare_file(path: Path, port: int) -> contextlib.AbstractContextManager[None]:
    """Serve a file by Starlette's own response for files, on the same kind of server."""
    return bare_route(path, port, program=BARE_FILE)


@contextlib.contextmanager
def bare_route(body: Path, port: int, *, program: str = BARE_ROUTE) -> Iterator[None]:
    """Serve the bytes of a file from one bare Starlette route on the same kind of server."""
    server = subprocess.Popen([sys.executable, "-c", program, str(port), str(body)])
    try:
        wait_for_port(port)
        yield
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Return once something listens; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


def copy_seconds(source: Path, target: Path) -> float:
    """Return how long `dd` needs to copy a file to the same disk, data on disk."""
    started = time.perf_counter()
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fdatasync", "status=none"]
    subprocess.run(command, check=True)
    took = time.perf_counter() - started
    target.unlink()
    return took


def cat_seconds(source: Path, target: Path) -> float:
    """Return how long `cat` needs to copy a file to another on the same disk."""
    started = time.perf_counter()
    with target.open("wb") as sink:
        subprocess.run(["cat", str(source)], stdout=sink, check=True)
    took = time.perf_counter() - started
    target.unlink()
    return took


def has(program: str) -> bool:
    """Say whether a program is installed."""
    return shutil.which(program) is not None
