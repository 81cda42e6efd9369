"""`plasmid doctor`: what this machine has and lacks, one line a finding, each with its remedy.

The checks themselves use the standard library only: `./plasmid doctor` must work where the set-up
has failed. What needs Plasmid's own packages (a real sandbox) is looked at when they are there.
"""

from __future__ import annotations

import argparse
import calendar
import contextlib
import importlib.util
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from plasmid.cli import enforced, package_mirror

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "FAIL"

_GIB: Final = 1024**3
_DISK_FREE_MIN: Final = 2 * _GIB
_DISK_FREE_GOOD: Final = 10 * _GIB
_OPEN_FILES_MIN: Final = 4096
_IDS_MIN: Final = 65536
_SETUP: Final = "./plasmid setup"
_APT: Final = "apt-get install --yes --no-install-recommends"


class Finding(NamedTuple):
    """What was looked at, how it stands, what was found, and the remedy if any."""

    level: str
    what: str
    found: str
    remedy: str = ""

    def line(self) -> str:
        """Return the finding as `ok|warn|FAIL  what  found  -> remedy`."""
        remedy = f"  -> {self.remedy}" if self.remedy else ""
        return f"{self.level:<4}  {self.what:<16}  {self.found}{remedy}"


class Machine(NamedTuple):
    """Where to look: who asks, the home folder, the port of the server, the environment."""

    uid: int
    user: str
    home: Path
    port: int
    environ: Mapping[str, str]

    @property
    def is_root(self) -> bool:
        """Whether the engines for root can be used."""
        return self.uid == 0


def main(arguments: list[str] | None = None) -> int:
    """Print the findings and return 1 if one of them is a FAIL."""
    parser = argparse.ArgumentParser(prog="plasmid doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    asked = parser.parse_args(arguments)
    findings: list[Finding] = []
    for check in CHECKS:
        for finding in check(this_machine()):
            findings.append(finding)
            if not asked.json:
                print(finding.line(), flush=True)
    if asked.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    return int(any(finding.level == FAIL for finding in findings))


def this_machine() -> Machine:
    """Return the machine as the environment describes it."""
    uid = os.geteuid()
    default = "/var/lib/plasmid" if uid == 0 else "~/.plasmid"
    home = Path(os.environ.get("PLASMID_HOME") or default).expanduser().absolute()
    port = os.environ.get("PLASMID_SERVER_PORT", "")
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or str(uid)
    return Machine(uid, user, home, int(port) if port.isdecimal() else 8124, os.environ)


def check_python(machine: Machine) -> list[Finding]:
    """Look at the interpreter and at Plasmid's own packages."""
    del machine
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return [Finding(FAIL, "Python", version, "use Python 3.11 to 3.14 (PLASMID_PYTHON)")]
    found = [Finding(OK, "Python", f"{version} ({sys.executable})")]
    missing = [n for n in ("msgspec", "starlette", "dxpy") if importlib.util.find_spec(n) is None]
    if missing:
        found.append(Finding(WARN, "packages", f"not here: {', '.join(missing)}", _SETUP))
    else:
        found.append(Finding(OK, "packages", "Plasmid's own and the dx client are installed"))
    return found


def check_tools(machine: Machine) -> list[Finding]:
    """Look for what makes sandboxes and base images."""
    tools = ("crun", "runc", "conmon", "podman", "patchelf", "mmdebstrap")
    versions = {tool: _version(tool) for tool in tools}
    return judge_tools(versions, is_root=machine.is_root)


def judge_tools(versions: Mapping[str, str | None], *, is_root: bool) -> list[Finding]:
    """Judge {tool: version, or None if it is missing}."""
    runtimes = [f"{tool} {versions[tool]}" for tool in ("crun", "runc") if versions.get(tool)]
    found = []
    if is_root:
        if not runtimes:
            found.append(Finding(FAIL, "OCI runtime", "no crun, no runc", f"{_APT} crun runc"))
        else:
            found.append(Finding(OK, "OCI runtime", ", ".join(runtimes)))
        found.append(_tool(versions, "conmon", FAIL, "conmon"))
    else:
        found.append(_tool(versions, "podman", FAIL, "podman uidmap"))
    # What jobs that call docker get a copy of, made fit by patchelf.
    found += [_tool(versions, tool, WARN, tool) for tool in ("podman", "patchelf") if is_root]
    found.append(_tool(versions, "mmdebstrap", WARN, "mmdebstrap"))
    return found


def _tool(versions: Mapping[str, str | None], tool: str, level: str, package: str) -> Finding:
    if version := versions.get(tool):
        return Finding(OK, tool, version)
    return Finding(level, tool, "missing", f"{_APT} {package}")


def _version(tool: str) -> str | None:
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        return None
    text = package_mirror.output_of([path, "--version"]) or ""
    number = re.search(r"\d+(\.\d+)+", text)
    return number.group() if number else "of unknown version"


def check_cgroups(machine: Machine) -> list[Finding]:
    """Look at the controllers that limit memory, processes and cores."""
    text = _text("/proc/self/mountinfo")
    offered = _text("/sys/fs/cgroup/cgroup.controllers").split()
    return [judge_cgroups(text, offered, is_root=machine.is_root)]


def judge_cgroups(mountinfo: str, v2_controllers: Iterable[str], *, is_root: bool) -> Finding:
    """Judge /proc/self/mountinfo and the controllers that version 2 offers at its root."""
    v1: set[str] = set()
    kinds, read_only = set(), False
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(maxsplit=2), "", "", ""][:3]
        if kind in ("cgroup", "cgroup2"):
            kinds.add(kind)
            read_only = read_only or "ro" in before.split()[5].split(",")
            v1 |= set(options.split(",")) if kind == "cgroup" else set()
    missing = {"memory", "pids", "cpu"} - v1 - set(v2_controllers)
    name = {0: "none", 1: "v2" if "cgroup2" in kinds else "v1"}.get(len(kinds), "v1 and v2")
    if not kinds:
        return Finding(FAIL, "cgroups", "not mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    if missing:
        lack = f"{name}, without {', '.join(sorted(missing))}"
        remedy = "boot with cgroup_enable=memory, or mount the controller"
        return Finding(FAIL if is_root else WARN, "cgroups", lack, remedy)
    if read_only and is_root:
        return Finding(FAIL, "cgroups", f"{name}, read-only", "mount -o remount,rw /sys/fs/cgroup")
    if not is_root and name != "v2":
        remedy = "boot with systemd.unified_cgroup_hierarchy=1; until then limits are not kept"
        return Finding(WARN, "cgroups", f"{name}, and you are not root", remedy)
    return Finding(OK, "cgroups", name)


def check_namespaces(machine: Machine) -> list[Finding]:
    """Look at user namespaces and at the ids that are free for them."""
    root = Path("/proc/sys")
    limit = _text(root / "user/max_user_namespaces").strip()
    refused = _text(root / "kernel/unprivileged_userns_clone").strip() == "0"
    restricted = _text(root / "kernel/apparmor_restrict_unprivileged_userns").strip() == "1"
    if limit == "0":
        remedy = "sysctl -w user.max_user_namespaces=65536"
        found = [Finding(FAIL, "user namespaces", "none allowed", remedy)]
    elif refused and not machine.is_root:
        remedy = "let root run: sysctl -w kernel.unprivileged_userns_clone=1"
        found = [Finding(FAIL, "user namespaces", "for root only", remedy)]
    elif restricted and not machine.is_root:
        remedy = "let root run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        found = [Finding(WARN, "user namespaces", "restricted by AppArmor", remedy)]
    else:
        found = [Finding(OK, "user namespaces", f"up to {limit or 'any number'}")]
    return [*found, judge_ids(_text("/etc/subuid"), machine.user, is_root=machine.is_root)]


# Root inside a sandbox is this id outside (engines/oci_config.py).
_ID_FIRST: Final = 300000


def judge_ids(subuid: str, user: str, *, is_root: bool) -> Finding:
    """Judge /etc/subuid: the range of sandboxes is free, or this user has one."""
    ranges = []
    for line in subuid.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            ranges.append((fields[0], int(fields[1]), int(fields[2])))
    if not is_root:
        count = sum(size for name, _, size in ranges if name == user)
        if count < _IDS_MIN:
            remedy = f"let root run: usermod --add-subuids 200000-265535 {user} (and subgids)"
            return Finding(FAIL, "subordinate ids", f"{count} for {user}", remedy)
        return Finding(OK, "subordinate ids", f"{count} for {user}")
    last = _ID_FIRST + _IDS_MIN - 1
    taken = [n for n, first, size in ranges if first <= last and first + size > _ID_FIRST]
    if taken:
        remedy = f"move the range of {taken[0]} in /etc/subuid: its files and jobs' would mix"
        return Finding(WARN, "subordinate ids", f"{_ID_FIRST}-{last} also {taken[0]}'s", remedy)
    return Finding(OK, "subordinate ids", f"{_ID_FIRST}-{last} are free")


def check_limits(machine: Machine) -> list[Finding]:
    """Look at how many files one process may open."""
    del machine
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _OPEN_FILES_MIN:
        remedy = f"raise it: ulimit -Hn {_OPEN_FILES_MIN}, or LimitNOFILE= in the service"
        return [Finding(WARN, "open files", f"{hard} at most", remedy)]
    return [Finding(OK, "open files", f"{hard} at most")]


def check_enforced(machine: Machine) -> list[Finding]:
    """Look at what keeps a job to its instance type."""
    return [Finding(*found) for found in enforced.check(machine.environ, is_root=machine.is_root)]


def check_home(machine: Machine) -> list[Finding]:
    """Look at the home folder: whether it can be written, has room, can carry overlays."""
    home = machine.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix="doctor-") as folder:
            found = [_overlay(Path(folder))] if machine.is_root else []
    except OSError as error:
        remedy = "set PLASMID_HOME to a folder that you can write"
        return [Finding(FAIL, "home", f"{home}: {error.strerror}", remedy)]
    usage = shutil.disk_usage(home)
    return [Finding(OK, "home", str(home)), judge_disk(usage.free), *found]


def judge_disk(free_bytes: int) -> Finding:
    """Judge the free space of the home folder's disk."""
    text = f"{free_bytes / _GIB:.1f} GiB free"
    remedy = "free some, or set PLASMID_HOME to a larger disk"
    if free_bytes < _DISK_FREE_MIN:
        return Finding(FAIL, "disk", text, remedy)
    if free_bytes < _DISK_FREE_GOOD:
        return Finding(WARN, "disk", text, remedy)
    return Finding(OK, "disk", text)


def _overlay(folder: Path) -> Finding:
    for name in ("lower", "upper", "work", "root"):
        (folder / name).mkdir()
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(folder / "root")]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    if tried.returncode != 0:
        why = (tried.stderr.strip().splitlines() or ["mount failed"])[-1]
        remedy = "modprobe overlay, or set PLASMID_HOME to a local ext4, xfs or btrfs disk"
        return Finding(FAIL, "overlay", why, remedy)
    subprocess.run(["umount", str(folder / "root")], check=True, timeout=20)
    return Finding(OK, "overlay", "can be mounted under home")


def check_network(machine: Machine) -> list[Finding]:
    """Look at the package mirror, in the way that apt itself goes there, and at proxies."""
    found = []
    release = ""
    mirror = package_mirror.find()
    if mirror is None:
        found.append(Finding(WARN, "package mirror", "apt has no sources", "see /etc/apt/sources*"))
    else:
        begun = time.monotonic()
        release = package_mirror.fetch(mirror)
        took = time.monotonic() - begun
        if release:
            found.append(Finding(OK, "package mirror", f"{mirror} answered in {took:.1f} s"))
        else:
            remedy = "only base images and apt packages need it; check apt's sources and proxy"
            found.append(Finding(WARN, "package mirror", f"no answer from {mirror}", remedy))
    found.append(judge_clock(release, time.time()))
    return [*found, *judge_proxies(machine.environ)]


def judge_clock(release: str, now_seconds: float) -> Finding:
    """Judge the clock by the date of a mirror's release file ("" if there is none)."""
    newest = Path(__file__).stat().st_mtime
    if dated := re.search(r"^Date: (.+) UTC$", release, re.MULTILINE):
        with contextlib.suppress(ValueError):
            newest = calendar.timegm(time.strptime(dated.group(1), "%a, %d %b %Y %H:%M:%S"))
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_seconds))
    if now_seconds < newest - 60:
        return Finding(
            FAIL, "clock", f"{text}, which is too early", "set it: timedatectl set-ntp 1"
        )
    return Finding(OK, "clock", text)


def judge_proxies(environ: Mapping[str, str]) -> list[Finding]:
    """Judge the proxy variables: the dx client sends calls for this machine through them, too."""
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
    given = [name for name in names if environ.get(name)]
    if not given:
        return []
    remedy = "dx ignores no_proxy: unset them where you use it with this server"
    return [Finding(WARN, "proxy", f"{', '.join(given)} set", remedy)]


def check_port(machine: Machine) -> list[Finding]:
    """Look whether `plasmid serve` can have its port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", machine.port))
        except OSError as error:
            remedy = "a server may be running already; else: plasmid serve --port N"
            return [Finding(WARN, "port", f"{machine.port}: {error.strerror}", remedy)]
    return [Finding(OK, "port", f"{machine.port} is free")]


def check_sandbox(machine: Machine) -> list[Finding]:
    """Run one tiny sandbox of the base image, if our packages are here; look at the mirrors too."""
    try:
        from plasmid.cli import mirror_settings, probe
    except ImportError:
        return [Finding(WARN, "sandbox", "not tried: packages are missing", _SETUP)]
    level, found, remedy = probe.run(machine.environ)
    mirrors = [Finding(*row) for row in mirror_settings.judge(machine.environ)]
    return [*mirrors, Finding(level, "sandbox", found, remedy)]


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


CHECKS: Final[tuple[Callable[[Machine], list[Finding]], ...]] = (
    check_python,
    check_tools,
    check_cgroups,
    check_namespaces,
    check_limits,
    check_enforced,
    check_home,
    check_network,
    check_port,
    check_sandbox,
)

if __name__ == "__main__":
    sys.exit(main())
