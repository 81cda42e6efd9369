"""The files that are put into a sandbox before it starts (contract I.2, I.5, I.6)."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from plasmid.domain import assignments, bash_variables, failures
from plasmid.environments import mirrors, trees
from plasmid.worker.steps import environment

STATE: Final = "/opt/plasmid"
DOWNLOADS: Final = f"{STATE}/downloads"
START: Final = f"{STATE}/start.sh"
LOGIN: Final = f"{STATE}/login"
# Input fields are described by inputSpec for this entry point only.
MAIN: Final = "main"
# Written over by start.sh when the job's code has failed: its exit code, and what `df` says. They
# are as large as they will be, so that a full disk does not matter.
EXITED: Final = f"{STATE}/exited"
DISKS: Final = f"{STATE}/disks"
_EXITED_BYTES: Final = 16
_DISKS_BYTES: Final = 2048

_TOOLS: Final = {
    START: "start.sh",
    LOGIN: "login.sh",
    f"{STATE}/login.bashrc": "login.bashrc",
    f"{STATE}/tmux.conf": "tmux.conf",
    "/usr/bin/dx-unpack": "dx_unpack.py",
    f"{STATE}/archive_limits.py": "archive_limits.py",
    "/usr/bin/dx-git-ssh-helper": "dx-git-ssh-helper",
    "/usr/bin/dx-dstat": "dx-dstat",
    "/usr/bin/pcp-dstat": "pcp-dstat",
    "/usr/bin/dx-mask-value": "dx-mask-value",
}
# An app may bring its own of these; what tells of the job is always ours.
_YIELDING: Final = (
    *(f"{environment.HOME}/{name}" for name in (".profile", ".bash_profile", ".bashrc")),
    *(path for path in _TOOLS if path.startswith("/usr/")),
)
_LOGIN: Final = b'. /home/dnanexus/environment\ncd "$HOME"\n'
_SUDOERS: Final = (
    b'Defaults env_keep += "http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY"\n'
    b'Defaults env_keep += "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT"\n'
    b'Defaults env_keep += "GIT_SSL_CAINFO PIP_BREAK_SYSTEM_PACKAGES"\n'
)


def files(
    assignment: assignments.Assignment,
    *,
    variables: dict[str, str],
    ca_bundle: Path | None = None,
    sources: mirrors.Mirrors | None = None,
) -> dict[str, bytes]:
    """Return the files of a job's sandbox: absolute path to content.

    Raises JobFailure if an input file has a name that no folder can hold.
    """
    home = environment.HOME
    made = dict(tools())
    made |= {
        f"{home}/.profile": _LOGIN,
        f"{home}/.bash_profile": _LOGIN,
        f"{home}/.bashrc": b"",
        f"{home}/environment": environment.render(variables).encode(),
        f"{home}/dnanexus-job.json": _json(assignment.job_description),
        f"{home}/dnanexus-executable.json": _json(assignment.executable_description),
        f"{home}/job_input.json": _json(assignment.input),
    }
    made[DISKS] = b" " * _DISKS_BYTES
    if assignment.debug_on:
        made[EXITED] = b" " * _EXITED_BYTES
    made |= network_files(ca_bundle)
    made |= sources.files() if sources is not None else {}
    made |= _code(assignment, variables)
    if assignment.network:
        made["/etc/sudoers.d/plasmid"] = _SUDOERS
        if sources is not None:  # for the asset builder, which installs inside its job
            made[f"{STATE}/mirrors.json"] = _json(sources.inside())
    return made


def without_brought(files: dict[str, bytes], layers: Sequence[Path]) -> dict[str, bytes]:
    """Return the files without those that a layer has brought instead."""
    brought = {path for path in _YIELDING if any(trees.has(tree, path) for tree in layers)}
    return {path: content for path, content in files.items() if path not in brought}


def command(assignment: assignments.Assignment) -> tuple[str, ...]:
    """Return the command that runs the job's code."""
    mode = "wait" if assignment.waits else "hold" if assignment.debug_on else ""
    return ("/bin/sh", START, assignment.interpreter, *([mode] if mode else []))


def network_files(ca_bundle: Path | None) -> dict[str, bytes]:
    """Return the files by which a sandbox finds names and packages."""
    return {
        "/etc/apt/apt.conf.d/99dnanexus": _apt_configuration(ca_bundle).encode(),
        "/etc/resolv.conf": f"nameserver {environment.NAME_SERVER}\n".encode(),
    }


def _code(assignment: assignments.Assignment, variables: dict[str, str]) -> dict[str, bytes]:
    """Return the job's code and the template that runs it."""
    wrapper = f"{environment.HOME}/{assignment.job}"
    if assignment.interpreter != "bash":
        return {
            wrapper: runtime_file("python_template.py"),
            f"{wrapper}.code.py": assignment.code.encode(),
        }
    function = shlex.quote(assignment.function).encode()
    return {
        wrapper: runtime_file("bash_template.sh").replace(b"@FUNCTION@", function),
        f"{wrapper}.code.sh": assignment.code.encode(),
        f"{environment.HOME}/.bash_helper_vars": _bash_variables(assignment, variables).encode(),
    }


def _bash_variables(assignment: assignments.Assignment, taken: dict[str, str]) -> str:
    is_main = assignment.function == MAIN
    try:
        return bash_variables.render(
            bash_variables.compute(
                assignment.input,
                assignment.input_files,
                input_spec=assignment.executable_description.get("inputSpec") or ()
                if is_main
                else (),
                home=environment.HOME,
                taken=taken,
            )
        )
    except ValueError as error:
        raise failures.JobFailure(failures.INPUT_ERROR, str(error)) from error


def _apt_configuration(ca_bundle: Path | None) -> str:
    lines = [f'Acquire::{kind}::Proxy "{environment.PROXY}";' for kind in ("http", "https")]
    if ca_bundle is not None:
        lines.append(f'Acquire::https::CAInfo "{environment.CA_BUNDLE}";')
    return "".join(f"{line}\n" for line in lines)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


@functools.cache
def tools() -> dict[str, bytes]:
    """Return the platform's own programs, by their places in a sandbox."""
    return {target: runtime_file(name) for target, name in _TOOLS.items()}


@functools.cache
def runtime_file(name: str) -> bytes:
    """Return a file of the runtime, which is copied into sandboxes and never imported."""
    return resources.files("plasmid").joinpath("runtime", name).read_bytes()
