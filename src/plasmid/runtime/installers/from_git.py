"""Fetches git repositories and runs their build commands."""

from __future__ import absolute_import, unicode_literals

import os
import tempfile

from installers import apt, checks
from installers.running import FailedError


def install(step):
    """Clone each repository, check out its tag (or the lock's commit), run its build commands."""
    for package in step.packages:
        checks.repository(package)
    for program in ("git", "make"):
        apt.need(step, program, ["git", "make", "ca-certificates"])
    locked = step.locked("git")
    for number, package in enumerate(step.packages):
        row = None
        if locked is not None:
            row = locked[number] if number < len(locked) else {}
            if row.get("url") != package["url"]:
                raise FailedError("the lock has no commit of %s" % package["url"], apt.LOCK_AGAIN)
        _install(step, package, row)


def _install(step, package, locked):
    parent = package.get("destdir") or tempfile.mkdtemp()
    if parent.startswith("~/"):
        parent = os.path.join(step.environment.get("HOME", "/root"), parent[2:])
    if not os.path.isdir(parent):
        os.makedirs(parent)
    folder = os.path.join(parent, repository_name(package["url"]))
    step.run(["git", "clone", "--", package["url"], folder], parent)
    wanted = locked["commit"] if locked else package.get("tag")
    if wanted:
        try:
            step.run(["git", "checkout", wanted, "--"], folder)
        except FailedError:
            if not locked:
                raise
            problem = "the lock asks for commit %s of %s, which the repository no longer has"
            raise FailedError(problem % (wanted, package["url"]), apt.LOCK_AGAIN)
    commit = step.output(["git", "rev-parse", "HEAD"], folder).strip()
    if package.get("build_commands"):
        _build(step, package["build_commands"], folder)
    step.resolved.setdefault("git", []).append(
        {"name": package["name"], "url": package["url"], "commit": commit}
    )


def _build(step, commands, folder):
    """Run build commands: the only shell code there is, as its author wrote it."""
    try:
        step.run(["/bin/bash", "-c", commands], folder)
    except FailedError as failure:
        raise FailedError("build_commands: %s" % failure)


def repository_name(url):
    """Return the name of the folder that git would make for a url."""
    last = os.path.basename(url.rstrip("/").replace(":", "/"))
    stem, extension = os.path.splitext(last)
    return stem if extension == ".git" else last
