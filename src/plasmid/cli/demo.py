"""`plasmid demo`: the main job on real reads with the real client, to a result that is checked.

Everything that a person would type is typed: each `$ dx ...` line is a command that runs as shown.
At the end nothing is left but the base image and the inputs, and that is looked at, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli import leftovers, processes, terminal
from plasmid.cli.trouble import CommandError
from plasmid.config import FILE_NAME, Config
from plasmid.environments.recipes import RECIPES

APPLET: Final = Path(__file__).parents[3] / "examples" / "align-and-count"
INPUTS: Final = ("lambda_virus.fa.gz", "reads_1.fq.gz", "reads_2.fq.gz")
RELEASE: Final = ("Ubuntu", "24.04", "0")  # as the applet's dxapp.json says
PACKAGE: Final = "bowtie2-examples"
# What the Bowtie 2 of each base image's release finds with these reads; it is deterministic.
READS: Final = 20_000
MAPPED: Final = {"ubuntu-24.04": 18_995, "debian-12": 18_844}
STAND_IN: Final = "debian-12"
_ANSWER_SECONDS_MAX: Final = 20
_COMMAND_SECONDS_MAX: Final = 900
_STOP_SECONDS_MAX: Final = 60
_NEXT: Final = """
What next:
  ./plasmid run examples/hello-bash -iname=you    one applet, no server
  ./plasmid serve                                 a platform for the dx client
  docs/tutorials/first-applet.md                  your own applet in ten minutes"""


def main(config: Config) -> None:
    """Run the demo; raises CommandError with the reason if anything differs from what it should."""
    # Either signal ends the running command and then, in order, all that was started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        _demo(config)
    except KeyboardInterrupt as error:
        raise CommandError("interrupted; everything that was started is stopped", 130) from error


def _demo(config: Config) -> None:
    if not APPLET.exists():
        raise CommandError(f"the demo needs a checkout of Plasmid: {APPLET} is not there")
    steps = terminal.Steps(7)
    steps.say("Plasmid demo: an unmodified applet on real data, driven by the real dx client.")
    config.home.mkdir(parents=True, exist_ok=True)
    with steps.step(f"inputs: phage lambda, its genome and {READS:,} reads (Debian's {PACKAGE})"):
        inputs = fetch_inputs(config.home / "fixtures" / "lambda")
        steps.note(f"{inputs}: {', '.join(INPUTS)}")
    with steps.step("base image: made once, found by every later call"):
        images, image = _make_image(config, steps)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=config.home))
    folder.chmod(0o711)  # a job's root is nobody out here, and must get to its own folder
    try:
        settings = _settings(config, images, folder)
        job = _with_platform(folder, inputs, settings, steps=steps, expected=MAPPED.get(image))
        with steps.step("nothing is left: no process, mount, cgroup or folder"):
            found = leftovers.find(folder, job)
            if found:
                raise CommandError("the demo left something behind: " + "; ".join(found))
    finally:
        if not leftovers.find_mounts(folder):  # never delete through a mount
            shutil.rmtree(folder, ignore_errors=True)
    steps.say(f"\nAll went as expected. Times:\n{steps.table()}\n{_NEXT}")


def fetch_inputs(folder: Path) -> Path:
    """Return the folder with the inputs; they come from the Debian package once."""
    if all((folder / name).exists() for name in INPUTS):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        _download(scratch)
        (package,) = scratch.glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(scratch / "x")], check=True)
        whole = scratch / "whole"
        whole.mkdir()
        for file in INPUTS:
            (found,) = (scratch / "x").rglob(file)
            shutil.copy(found, whole / file)
        shutil.rmtree(folder, ignore_errors=True)
        whole.rename(folder)
    return folder


def _download(scratch: Path) -> None:
    command = ["apt-get", "download", PACKAGE]
    said = ""
    for before in ([], ["apt-get", "update"]):  # its lists may be missing or old
        if before:
            subprocess.run(before, capture_output=True, check=False)
        ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return
        said = (ran.stderr.strip().splitlines() or ["no message"])[-1]
    raise CommandError(f"cannot download the Debian package {PACKAGE} ({said}); run plasmid doctor")


def _make_image(config: Config, steps: terminal.Steps) -> tuple[dict[str, str], str]:
    """Make sure of the applet's base image; returns this demo's table of images, and its name.

    A machine that does not reach Ubuntu's packages gets a stand-in, and is told so.
    """
    from plasmid.cli import images

    table = dict(config.images)
    store = images.of(config)
    name = store.name_for(*RELEASE)
    is_here = any(image.name == name for image in store.list())
    if name in RECIPES and not is_here:
        steps.note(f"asking for the packages of {name}, up to {_ANSWER_SECONDS_MAX} s")
        if not processes.run(store.can_build(name, seconds=_ANSWER_SECONDS_MAX)):
            table[" ".join(RELEASE[:2])] = STAND_IN
            steps.note(f"{name} cannot be made here: its packages do not answer.")
            steps.note(f'This demo says [images] "{" ".join(RELEASE[:2])}" = "{STAND_IN}" instead')
    chosen = msgspec.structs.replace(config, images=table)
    processes.run(images.ensure(chosen, *RELEASE))
    found = images.of(chosen).find(*RELEASE)
    steps.note(f"{found.name} ({found.digest[:12]}) serves {RELEASE[0]} {RELEASE[1]}")
    return table, found.name


def _settings(config: Config, images: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables that give the demo's server our settings with these images."""
    if dict(images) == config.images:
        return {}
    given = os.environ.get("PLASMID_CONFIG") or str(config.home / FILE_NAME)
    text = Path(given).read_text(encoding="utf-8") if Path(given).exists() else ""
    lines = "".join(f'"{release}" = "{name}"\n' for release, name in images.items())
    without = re.sub(r"(?ms)^\[images\].*?(?=^\[|\Z)", "", text)
    path = folder / FILE_NAME
    path.write_text(f"{without}\n[images]\n{lines}", encoding="utf-8")
    return {"PLASMID_CONFIG": str(path)}


def _with_platform(
    folder: Path,
    inputs: Path,
    settings: Mapping[str, str],
    *,
    steps: terminal.Steps,
    expected: int | None,
) -> str:
    """Do the job on a platform that lives for this long; returns the job's id."""
    with contextlib.ExitStack() as stack:
        with steps.step("platform: plasmid serve, on a free port, with a data folder of its own"):
            environ = stack.enter_context(_serving(folder, settings, steps))
        dx = _Dx(environ, inputs, steps)
        stack.callback(_end_jobs, dx, folder)
        with steps.step("what a user does: project, upload, build"):
            dx.run("new", "project", "lambda", "--select")
            dx.run("upload", *INPUTS, "--brief")
            dx.run("build", str(APPLET))
        with steps.step("the job: run it and watch its log; bowtie2 and samtools come by apt"):
            job = _run_applet(dx)
        with steps.step("the result"):
            _check_result(dx, job, steps, expected)
    return job


def _end_jobs(dx: _Dx, folder: Path) -> None:
    """Terminate what still runs, if the demo was cut short, and wait until its sandbox is gone."""
    with contextlib.suppress(CommandError):
        for job in dx.run("find", "jobs", "--brief", "--state", "running", quiet=True).split():
            dx.run("terminate", job, quiet=True)
    deadline = time.monotonic() + _STOP_SECONDS_MAX
    while leftovers.find_tries(folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def _run_applet(dx: _Dx) -> str:
    genome, first, second = INPUTS
    inputs = (f"-ireads_1={first}", f"-ireads_2={second}", f"-igenome={genome}")
    shown = dx.run("run", "align-and-count", *inputs, "--watch", "-y")
    found = re.search(r"job-\w{24}", shown)
    if found is None:
        raise CommandError("dx run printed no job id")
    return found.group()


def _check_result(dx: _Dx, job: str, steps: terminal.Steps, expected: int | None) -> None:
    """Compare a job's result with what it must be; a site's own image: its state only."""
    dx.run("ls", "-l")
    dx.run("cat", "reads.flagstat.txt")
    described: dict[str, Any] = json.loads(dx.run("describe", job, "--json", quiet=True))
    output = described.get("output") or {}
    seen = output.get("mapped_reads")
    steps.say(f"\n      state     expected done     seen {described.get('state')}")
    known = "unknown" if expected is None else f"{expected:,}"
    steps.say(f"      mapped    expected {known}   seen {seen if seen is None else f'{seen:,}'}")
    if described.get("state") != "done" or expected not in (None, seen):
        raise CommandError(f"{job} did not give what it should: {output}")


class _Dx:
    """Types commands of the real client, as a user of this platform would."""

    def __init__(self, environ: Mapping[str, str], folder: Path, steps: terminal.Steps) -> None:
        self._environ = dict(environ)
        self._folder = folder
        self._steps = steps
        self._program = str(Path(sys.executable).with_name("dx"))

    def run(self, *arguments: str, quiet: bool = False) -> str:
        """Show a command, run it, show and return its output; raises CommandError if it fails."""
        if not quiet:
            self._steps.say(f"\n$ dx {shlex.join(arguments)}")
        lines = []
        with subprocess.Popen(
            ["timeout", "--foreground", str(_COMMAND_SECONDS_MAX), self._program, *arguments],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if sys.stderr.isatty() else subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                if not quiet:
                    self._steps.say(line.rstrip("\n"))
        if process.returncode != 0:
            shown = f"dx {shlex.join(arguments)}"
            raise CommandError(f"{shown!r} ended with {process.returncode}; run plasmid doctor")
        return "".join(lines)


@contextlib.contextmanager
def _serving(
    folder: Path, settings: Mapping[str, str], steps: terminal.Steps
) -> Iterator[dict[str, str]]:
    """Serve for the length of a block; gives the environment in which dx talks to the server."""
    data = folder / "data"
    plasmid = [sys.executable, "-P", "-m", "plasmid"]
    serve = [*plasmid, "serve", "--fit", "--port", "0", "--data", str(data)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            serve,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is ours: the server must outlive the job
        )
        try:
            greeting = server.stdout.readline() if server.stdout else ""
            if not greeting:
                raise CommandError(f"the server did not start: {_tail(folder / 'server.log')}")
            steps.note(greeting.strip())
            shell = subprocess.run(
                [*plasmid, "env", "--data", str(data)], capture_output=True, text=True, check=True
            )
            yield {**_quiet_environ(folder), **_exported(shell.stdout)}
        except CommandError:
            steps.say(f"\nthe server's last words:\n{_tail(folder / 'server.log')}")
            raise
        finally:
            _stop(server)


def _stop(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _quiet_environ(folder: Path) -> dict[str, str]:
    """Return our environment without proxies (dx uses them even for this machine) and settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("DX_")
    }
    # The user's own ~/.dnanexus_config stays as it is; lines appear as they are printed.
    return {**kept, "DX_USER_CONF_DIR": str(folder / "dx"), "PYTHONUNBUFFERED": "1"}


def _exported(shell: str) -> dict[str, str]:
    """Return the variables that `plasmid env` prints as `export NAME=VALUE` lines."""
    words = (shlex.split(line) for line in shell.splitlines() if line.startswith("export "))
    pairs = (word.partition("=") for _, word in words)
    return {name: value for name, _, value in pairs}


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-12:]) or "(it said nothing)"
