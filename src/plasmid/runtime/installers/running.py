"""One group of packages being installed: its log, the programs it runs, and how a failure reads."""

from __future__ import absolute_import, unicode_literals

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from installers import remedies

try:
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen
except ImportError:  # Python 2
    from urllib2 import HTTPError, URLError, urlopen

LOG_SOCKET = "/opt/dnanexus/log/bulk"
LAST_LINES = 3
LINE_LENGTH_MAX = 200
DOWNLOAD_SECONDS_MAX = 60
PIECE_BYTES = 1 << 20
TOO_MANY = 429
SERVER_ERROR = 500
# How a line begins that says what is wrong, among all the others of apt, pip and their like.
ERROR = re.compile(r"(ERROR|error|fatal|\w*Error)\b|E: |! |Unable to |\* ERROR|make: ")
NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
GIT_PROTOCOLS = "http:https:ssh:git"


class FailedError(Exception):
    """Something failed: what, and what to do about it if that is known already."""

    def __init__(self, problem, advice=None):
        Exception.__init__(self, problem)
        self.problem = problem
        self.advice = advice


class Step(object):
    """One group of packages: what is asked for, and what became installed (`resolved`)."""

    def __init__(self, group, request):
        self.manager = group["manager"]
        self.packages = group["packages"]
        self.mirrors = request.get("mirrors") or {}
        self.resolved = {}
        self._lock = request.get("lock")
        self.scratch = tempfile.mkdtemp(prefix="plasmid-")
        self.environment = dict(os.environ)
        self.environment.update(request["environment"])
        self.environment.update(
            DEBIAN_FRONTEND="noninteractive",
            GIT_SSH="/usr/bin/dx-git-ssh-helper",
            GIT_ALLOW_PROTOCOL=GIT_PROTOCOLS,
            GIT_TERMINAL_PROMPT="0",
        )
        self.environment.update(self.mirrors.get("environment", {}))
        # An empty one keeps the platform's client off the proxy; managers read past it or stumble.
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            if not self.environment.get(name):
                self.environment.pop(name, None)
        self.log_path = os.path.join(
            tempfile.gettempdir(), "dx_%s_install_%d.log" % (self.manager, group["index"])
        )
        self._log = io.open(self.log_path, "wb")
        self._nothing = io.open(os.devnull, "rb")

    def close(self):
        """Remove what was needed meanwhile; the log stays."""
        self._log.close()
        self._nothing.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def locked(self, kind):
        """Return what the lock lists of a kind; None if there is no lock."""
        return None if self._lock is None else self._lock.get(kind, [])

    def note(self, line):
        """Say something in the job's log and in this group's."""
        say(line)
        self._log.write((line + "\n").encode("utf-8"))
        self._log.flush()

    def run(self, arguments, folder="/", variables=None):
        """Run a program with its output in the log; FailedError unless it succeeds."""
        code = self._call(arguments, folder, variables)
        if code != 0:
            raise FailedError("%s ended with code %d" % (os.path.basename(arguments[0]), code))

    def succeeds(self, arguments, variables=None):
        """Run a program with its output in the log, and say whether it succeeds."""
        return self._call(arguments, "/", variables) == 0

    def output(self, arguments, folder="/"):
        """Return what a program prints; its errors go to the log; FailedError if it fails."""
        process = self._start(arguments, folder, self.environment, subprocess.PIPE)
        text = process.communicate()[0].decode("utf-8", "replace")
        if process.returncode != 0:
            self._log.write(text.encode("utf-8"))
            raise FailedError("%s ended with code %d" % (arguments[0], process.returncode))
        return text

    def _call(self, arguments, folder, variables):
        environment = dict(self.environment)
        environment.update(variables or {})
        self._log.write(("$ %s\n" % " ".join(arguments)).encode("utf-8"))
        self._log.flush()
        return self._start(arguments, folder, environment, self._log).wait()

    def _start(self, arguments, folder, environment, sink):
        try:
            # Python 2 would take text for ASCII.
            if sys.version_info[0] == 2:
                arguments = [argument.encode("utf-8") for argument in arguments]
            return subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=self._nothing,
                stdout=sink,
                stderr=self._log,
            )
        except OSError as error:
            problem = "%s cannot be run in this base image (%s)" % (arguments[0], error.strerror)
            raise FailedError(problem)

    def explained(self, failure, names):
        """Return the error that a job's author reads: packages, last lines, what to do."""
        self._log.flush()
        with io.open(self.log_path, encoding="utf-8", errors="replace") as log:
            lines = [NOISE.sub("", line).strip() for line in log if line.strip()]
        show("\n".join(lines))
        told = ["%s" % failure]
        if not failure.advice and last(lines):
            told.append("Its last lines: %s" % last(lines))
        advice = failure.advice or remedies.of(self.manager, lines + told[:1], self.log_path)
        told.append("What to do: %s" % advice)
        what = "Error while installing %s packages %s" % (self.manager, names)
        return FailedError(one_line("DXExecDependencyError: %s: %s" % (what, ". ".join(told))))

    def download(self, url, name):
        """Download a file into the scratch folder; return its path; FailedError if it cannot."""
        self._log.write(("downloading %s\n" % url).encode("utf-8"))
        target = os.path.join(self.scratch, name)
        seconds = self.mirrors.get("timeout_seconds", DOWNLOAD_SECONDS_MAX)
        try:
            with self._as_managers(), io.open(target, "wb") as sink:
                shutil.copyfileobj(urlopen(url, timeout=seconds), sink)
        except (URLError, IOError, OSError) as error:
            raise FailedError("%s cannot be downloaded (%s)" % (url, error))
        return target

    def probe(self, url):
        """Make sure that a mirror answers: its manager would ask again and again for minutes.

        That it has no such file is an answer, which the manager itself explains better.
        """
        seconds = self.mirrors.get("timeout_seconds", DOWNLOAD_SECONDS_MAX)
        self._log.write(("asking %s\n" % url).encode("utf-8"))
        try:
            with self._as_managers():
                urlopen(url, timeout=seconds).close()
        except HTTPError as error:
            if error.code == TOO_MANY or error.code >= SERVER_ERROR:
                raise FailedError("the mirror does not answer: %s (%s)" % (url, error))
        except (URLError, IOError, OSError) as error:
            raise FailedError("the mirror does not answer: %s (%s)" % (url, error))

    @contextlib.contextmanager
    def _as_managers(self):
        """Go by the managers' proxy and certificates for the time of the block."""
        saved = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(saved)

    def check_hash(self, path, package):
        """Refuse a file that is not the one of the lock; a lock without a hash takes any."""
        wanted = package.get("sha256")
        if wanted and sha256(path) != wanted:
            raise FailedError(
                "%s %s is not the file of the lock: its sha256 is %s, the lock has %s"
                % (package["name"], package["version"], sha256(path), wanted),
                "the mirror serves changed bytes: check it, or lock again if they are right",
            )


def sha256(path):
    """Return the hash of a file."""
    digest = hashlib.sha256()
    with io.open(path, "rb") as source:
        for piece in iter(lambda: source.read(PIECE_BYTES), b""):
            digest.update(piece)
    return digest.hexdigest()


def one_line(text):
    """Return a text with its lines joined."""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())


def last(lines):
    """Return the end of the last program's output, short enough for a message: its errors."""
    commands = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    lines = lines[commands[-1] + 1 :] if commands else lines
    told = []
    # R tells the place, and what was wrong on the next line.
    lines = re.sub(r" :\n", " : ", "\n".join(lines)).split("\n")
    for line in [line for line in lines if ERROR.match(line)] or lines:
        if line in told:
            told.remove(line)
        told.append(line)
    return " | ".join(line[:LINE_LENGTH_MAX] for line in told[-LAST_LINES:])


def show(text):
    """Print a text as UTF-8, whatever Python takes the output for."""
    sys.stdout.flush()
    sink = getattr(sys.stdout, "buffer", sys.stdout)
    sink.write(text.encode("utf-8") + b"\n")
    sink.flush()


def say(message):
    """Send a line to the job's log, or print it if the log's socket is not there."""
    entry = {"source": "DX_APP", "timestamp": int(time.time() * 1000), "level": "info"}
    entry["msg"] = message
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sender.sendto(json.dumps(entry).encode("utf-8"), LOG_SOCKET)
    except (IOError, OSError):
        show(message)
    finally:
        sender.close()


def find_program(name, environment):
    """Return the path of a program, or None."""
    for folder in environment.get("PATH", "/usr/bin").split(":"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return None
