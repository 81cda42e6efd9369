"""Python packages installed as a job's dependencies, and by pip itself in the same sandbox."""

from __future__ import annotations

import json
import time
from typing import Final

from plasmid.environments import uv_program
from plasmid.worker.steps import environment
from tests.mirrors import box

PACKAGES: Final = ("numpy", "pandas", "pysam")
# Whatever host the public index of packages sends pip to.
ANYWHERE: Final = ("*:443", "*:80")


def seconds(bench: box.Bench) -> float:
    """Return how long the program takes that installs a job's dependencies."""
    request = {
        "groups": [
            {"manager": "pip3", "index": 0, "packages": [{"name": name} for name in PACKAGES]}
        ],
        "environment": environment.network_variables(bench.ca_bundle),
    }
    files = {"/opt/plasmid/dependencies.json": json.dumps(request).encode(), **box.program()}
    uv = uv_program.find()
    mounts = [(str(uv), uv_program.INSIDE)] if uv is not None else []
    begun = time.perf_counter()
    ran = bench.run("python3", box.INSTALL, files=files, mounts=mounts, hosts=ANYWHERE)
    took = time.perf_counter() - begun
    return _checked(ran, took)


def pip_seconds(bench: box.Bench) -> float:
    """Return how long pip takes for the same."""
    command = ("env", "HTTPS_PROXY=", "pip3", "install", "--quiet", "--upgrade", *PACKAGES)
    begun = time.perf_counter()
    ran = bench.run(*command, hosts=ANYWHERE)
    return _checked(ran, time.perf_counter() - begun)


def _checked(ran: box.Ran, took: float) -> float:
    if ran.code != 0:
        raise RuntimeError(ran.printed)
    return took
