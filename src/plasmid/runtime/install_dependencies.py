"""Installs the packages of /opt/plasmid/dependencies.json inside a sandbox (contract I.7).

Programs get their arguments as lists, never through a shell; only a git dependency's build_commands
are shell code, as their author wrote them. What a manager prints goes to /tmp/dx_<manager>_install_
<index>.log. On failure the reason, one line, is left in /opt/plasmid/failure.
"""

from __future__ import print_function

import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

STATE = "/opt/plasmid"
LOG_SOCKET = "/opt/dnanexus/log/bulk"
CLOSEST_MIRROR_LIST = "/etc/apt/sources.list.d/nucleus.list"
LAST_LINES = 3
LINE_LENGTH_MAX = 200
# How a line begins that says what is wrong, among all the others of apt, pip and their like.
ERROR = re.compile(r"(ERROR|error|fatal|\w*Error)\b|E: ")

# What a line of a manager's output means, and what to do about it; the cause before its effects.
NOT_ALLOWED = "the job may not reach that host: add it to access.network of the executable"
REMEDIES = (
    ("Forbidden", NOT_ALLOWED),
    ("Cannot connect to proxy", NOT_ALLOWED),
    ("Could not connect", "the package mirror cannot be reached: check the host's network"),
    ("Unable to connect", "the package mirror cannot be reached: check the host's network"),
    ("No space left on device", "ask for an instance type with more storage"),
    ("externally-managed", "set PIP_BREAK_SYSTEM_PACKAGES=1 in the base image"),
    ("Unable to locate package", "the base image's distribution has no package of that name"),
    ("Version '", "the base image's distribution has other versions: drop or change `version`"),
    ("No matching distribution found", "check the name and the version"),
)


class InstallError(Exception):
    """A group of packages could not be installed."""


def main():
    """Install every group in order; return the exit code."""
    with io.open(os.path.join(STATE, "dependencies.json"), encoding="utf-8") as source:
        plan = json.load(source)
    environment = dict(os.environ)
    environment.update(plan["environment"])
    environment["DEBIAN_FRONTEND"] = "noninteractive"
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PIP_ROOT_USER_ACTION"] = "ignore"
    environment["GIT_SSH"] = "/usr/bin/dx-git-ssh-helper"
    for group in plan["groups"]:
        try:
            install(group, environment)
        except InstallError as error:
            with io.open(os.path.join(STATE, "failure"), "w", encoding="utf-8") as sink:
                sink.write("%s\n" % error)
            return 1
    return 0


def install(group, environment):
    """Install one group of packages by its manager."""
    manager = group["manager"]
    names = ", ".join(package["name"] for package in group["packages"])
    say("Installing %s packages %s" % (manager, names))
    log_path = os.path.join(
        tempfile.gettempdir(), "dx_%s_install_%d.log" % (manager, group["index"])
    )
    with io.open(log_path, "wb") as log:
        problem = INSTALLERS[manager](group["packages"], Runner(log, environment))
    if problem is None:
        return
    with io.open(log_path, encoding="utf-8", errors="replace") as log:
        lines = [line.strip() for line in log if line.strip()]
    print("\n".join(lines))
    raise InstallError(
        "DXExecDependencyError: Error while installing %s packages %s: %s. Its last lines: %s. %s"
        % (manager, names, problem, last(lines), remedy(lines, log_path))
    )


def last(lines):
    """Return the end of a manager's output, short enough for a message: its errors, if any."""
    told = [line for line in lines if ERROR.match(line)] or lines
    return " | ".join(line[:LINE_LENGTH_MAX] for line in told[-LAST_LINES:])


def remedy(lines, log_path):
    """Return what to do about a manager's output."""
    text = "\n".join(lines)
    for sign, advice in REMEDIES:
        if sign in text:
            return "What to do: %s" % advice
    return "What to do: read the job's log, which has all of %s" % log_path


def say(message):
    """Send a line to the job's log, or print it if the log's socket is not there."""
    entry = {"source": "DX_APP", "timestamp": int(time.time() * 1000), "level": "info"}
    entry["msg"] = message
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sender.sendto(json.dumps(entry).encode("utf-8"), LOG_SOCKET)
    except (IOError, OSError):
        print(message)
    finally:
        sender.close()


class Runner(object):
    """Runs programs with their output in a log file."""

    def __init__(self, log, environment):
        self.log = log
        self.environment = environment

    def run(self, arguments, folder="/"):
        """Return None if the program succeeds, else what became of it."""
        self.log.write(("$ %s\n" % " ".join(arguments)).encode("utf-8"))
        self.log.flush()
        try:
            code = subprocess.call(
                arguments,
                cwd=folder,
                env=self.environment,
                stdout=self.log,
                stderr=self.log,
            )
        except OSError as error:
            return "%s cannot be run in this base image (%s)" % (arguments[0], error.strerror)
        return None if code == 0 else "%s ended with code %d" % (arguments[0], code)

    def run_all(self, commands):
        """Run commands until one fails; return what became of it."""
        for arguments in commands:
            problem = self.run(arguments)
            if problem is not None:
                return problem
        return None


def with_version(package, separator):
    """Return a package with its version as its manager writes it."""
    version = package.get("version")
    return package["name"] if version is None else package["name"] + separator + version


def install_apt(packages, runner):
    """Install by apt-get: from the closest mirror's list alone if there is one, else from all."""
    chosen = ["apt-get", "install", "--yes", "--no-install-recommends", "--"]
    chosen += [with_version(package, "=") for package in packages]
    if os.path.exists(CLOSEST_MIRROR_LIST):
        limited = [
            "apt-get",
            "update",
            "-o",
            "Dir::Etc::sourcelist=" + CLOSEST_MIRROR_LIST,
            "-o",
            "Dir::Etc::sourceparts=-",
            "-o",
            "APT::Get::List-Cleanup=0",
        ]
        if runner.run_all([limited, chosen]) is None:
            return None
        say("APT failed, retrying with full update against official package repository")
    return runner.run_all([["apt-get", "update"], chosen])


def install_pip(packages, runner):
    """Install by the pip of that name, or the one that belongs to python3."""
    return runner.run(
        pip_command("pip")
        + ["install", "--upgrade"]
        + [with_version(package, "==") for package in packages]
    )


def install_pip3(packages, runner):
    """Install by pip3."""
    return runner.run(
        pip_command("pip3")
        + ["install", "--upgrade"]
        + [with_version(package, "==") for package in packages]
    )


def pip_command(name):
    """Return how to call pip here."""
    for folder in os.environ.get("PATH", "/usr/bin").split(":"):
        if os.access(os.path.join(folder, name), os.X_OK):
            return [name]
    return ["python3", "-m", "pip"]


def install_gem(packages, runner):
    """Install Ruby packages, each by its own call."""
    commands = []
    for package in packages:
        version = package.get("version")
        commands.append(
            ["gem", "install", package["name"]] + (["--version", version] if version else [])
        )
    return runner.run_all(commands)


def install_cpan(packages, runner):
    """Install Perl packages by cpanminus."""
    return runner.run(["cpanm", "--notest"] + [with_version(package, "~") for package in packages])


def install_cran(packages, runner):
    """Install R packages; a certain version takes devtools, which is then installed first."""
    preamble = (
        "options(error=function() q(status=1)); options(warn=2);"
        ' options(repos=c(CRAN="http://cloud.r-project.org")); '
    )
    calls = []
    for package in packages:
        name = json.dumps(package["name"])
        if package.get("version"):
            version = json.dumps(package["version"])
            calls.append("devtools::install_version(%s, version=%s)" % (name, version))
        else:
            calls.append("install.packages(%s)" % name)
    if any(package.get("version") for package in packages):
        calls.insert(0, 'install.packages("devtools")')
    return runner.run_all([["R", "--no-save", "-e", preamble + call] for call in calls])


def install_git(packages, runner):
    """Clone each repository, check out its tag and run its build commands."""
    problem = runner.run(["git", "--version"]) and runner.run_all(
        [["apt-get", "update"], ["apt-get", "install", "--yes", "git", "make"]]
    )
    if problem is not None:
        return problem
    for package in packages:
        parent = package.get("destdir") or tempfile.mkdtemp()
        if not os.path.isdir(parent):
            os.makedirs(parent)
        last = os.path.basename(package["url"].rstrip("/").replace(":", "/"))
        stem, extension = os.path.splitext(last)
        folder = os.path.join(parent, stem if extension == ".git" else last)
        problem = runner.run(["git", "clone", "--", package["url"], folder])
        if problem is None and package.get("tag"):
            problem = runner.run(["git", "checkout", package["tag"], "--"], folder)
        if problem is None and package.get("build_commands"):
            problem = runner.run(["/bin/bash", "-c", package["build_commands"]], folder)
        if problem is not None:
            return problem
    return None


INSTALLERS = {
    "apt": install_apt,
    "pip": install_pip,
    "pip3": install_pip3,
    "gem": install_gem,
    "cpan": install_cpan,
    "cran": install_cran,
    "git": install_git,
}

if __name__ == "__main__":
    sys.exit(main())
