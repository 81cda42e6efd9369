"""Installs Ruby gems."""

from __future__ import absolute_import, unicode_literals

import glob
import os
import re

from installers import apt, checks
from installers.running import FailedError, sha256


def install(step):
    """Install each gem by its own call, or exactly what the lock lists."""
    checks.names(step)
    apt.need(step, "gem", ["ruby"])
    for source in step.mirrors.get("gem") or []:
        step.probe(source.rstrip("/") + "/specs.4.8.gz")
    before = _installed(step)
    if step.locked("gem") is not None:
        _install_locked(step, before)
    else:
        for package in step.packages:
            version = package.get("version")
            wanted = ["--version", version] if version else []
            command = ["gem", "install", package["name"]] + wanted
            step.run(command + ["--no-document"] + _sources(step))
    step.resolved["gem"] = [
        _row(name, version, _archives(step)) for name, version in sorted(_installed(step) - before)
    ]


def _sources(step):
    sources = step.mirrors.get("gem") or []
    options = ["--clear-sources"] if sources else []
    for source in sources:
        options += ["--source", source]
    return options


def _installed(step):
    """Return {(name, version)} of all installed gems."""
    found = set()
    for line in step.output(["gem", "list", "--local"]).splitlines():
        match = re.match(r"(\S+) \((.*)\)\s*\Z", line)
        for version in re.split(r",\s*", match.group(2)) if match else []:
            found.add((match.group(1), version.replace("default: ", "").split(" ")[0]))
    return found


def _archives(step):
    """Return the paths of the gems that were downloaded, by file name."""
    paths = []
    for folder in step.output(["gem", "environment", "gempath"]).strip().split(":"):
        paths += glob.glob(os.path.join(folder, "cache", "*.gem"))
    return {os.path.basename(path): path for path in paths}


def _row(name, version, archives):
    row = {"name": name, "version": version}
    stem = "%s-%s" % (name, version)
    for file_name, path in archives.items():
        if file_name == stem + ".gem" or file_name.startswith(stem + "-"):
            row.update(file=file_name, sha256=sha256(path))
    return row


def _install_locked(step, before):
    """Fetch the lock's gems, check them, and install these files alone."""
    files = []
    for row in step.locked("gem"):
        if (row["name"], row["version"]) in before:
            continue
        command = ["gem", "fetch", row["name"], "--version", row["version"]]
        step.run(command + _sources(step), step.scratch)
        fetched = glob.glob(
            os.path.join(step.scratch, "%s-%s*.gem" % (row["name"], row["version"]))
        )
        if not fetched:
            problem = "the lock asks for the gem %s %s, which the sources no longer have"
            raise FailedError(problem % (row["name"], row["version"]), apt.LOCK_AGAIN)
        step.check_hash(fetched[0], row)
        files.append(fetched[0])
    if files:
        options = ["--local", "--ignore-dependencies", "--no-document"]
        step.run(["gem", "install"] + options + files, step.scratch)
