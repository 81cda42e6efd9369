"""Installs Perl distributions by cpanminus."""

from __future__ import absolute_import, unicode_literals

import io
import os
import re

from installers import apt, checks
from installers.running import FailedError, sha256

DEFAULT_MIRROR = re.compile(r"https?://[a-z.]*cpan\.org\b")


def install(step):
    """Install all modules by one call without their tests, or exactly what the lock lists."""
    checks.names(step)
    apt.need(step, "cpanm", ["cpanminus"])
    step.environment["PERL_CPANM_HOME"] = os.path.join(step.scratch, "cpanm")
    for mirror in step.mirrors.get("cpan") or []:
        step.probe(mirror.rstrip("/") + "/modules/02packages.details.txt.gz")
    if step.locked("cpan") is not None:
        _install_locked(step)
        return
    kept = os.path.join(step.scratch, "dists")
    names = [package["name"] + _version(package) for package in step.packages]
    options = ["--notest", "--save-dists", kept]
    step.run(["cpanm"] + options + _mirrors(step) + names)
    step.resolved["cpan"] = _rows(step, kept)


def _version(package):
    version = package.get("version")
    return "" if version is None else "~" + version


def _mirrors(step):
    """Return the options that name mirrors; with a mirror of one's own, its index is the one."""
    options = []
    for mirror in step.mirrors.get("cpan") or []:
        options += ["--mirror", mirror]
    return options + (["--mirror-only"] if options else [])


def _rows(step, kept):
    """Return the distributions that were installed, in the order in which that was done."""
    files = {}
    for folder, _, names in os.walk(kept):
        for name in names:
            path = os.path.join(folder, name)
            stem = re.sub(r"\.(tar\.gz|tgz|tar\.bz2|zip)\Z", "", name)
            files[stem] = (os.path.relpath(path, kept), sha256(path))
    with io.open(step.log_path, encoding="utf-8", errors="replace") as log:
        told = re.findall(r"(?m)^Successfully (?:re)?installed (\S+)", log.read())
    rows = []
    for stem in told:
        name, _, version = stem.rpartition("-")
        row = {"name": name, "version": version}
        if stem in files:
            row.update(file=re.sub(r"\Aauthors/id/", "", files[stem][0]), sha256=files[stem][1])
        rows.append(row)
    return rows


def _install_locked(step):
    """Download the lock's distributions, check them, and install these files in their order."""
    files = []
    for row in step.locked("cpan"):
        if "file" not in row:
            raise FailedError("the lock has no file of %s" % row["name"], apt.LOCK_AGAIN)
        path = _download(step, row)
        step.check_hash(path, row)
        files.append(path)
    if files:
        # Nothing else may be fetched: what a distribution needs stands before it.
        step.run(
            ["cpanm", "--notest", "--mirror", "file://" + step.scratch, "--mirror-only"] + files
        )
    step.resolved["cpan"] = list(step.locked("cpan"))


def _download(step, row):
    mirrors = step.mirrors.get("cpan") or [_default_mirror(step)]
    for number, mirror in enumerate(mirrors, 1):
        url = "%s/authors/id/%s" % (mirror.rstrip("/"), row["file"])
        try:
            return step.download(url, os.path.basename(row["file"]))
        except FailedError as failure:
            if number == len(mirrors):
                problem = "the lock asks for %s %s: %s"
                raise FailedError(problem % (row["name"], row["version"], failure), apt.LOCK_AGAIN)
    raise FailedError("no CPAN mirror is set", "set [mirrors] cpan in plasmid.toml")


def _default_mirror(step):
    """Return the mirror that cpanminus itself has for its default."""
    program = next(
        os.path.join(folder, "cpanm")
        for folder in step.environment.get("PATH", "/usr/bin").split(":")
        if os.path.exists(os.path.join(folder, "cpanm"))
    )
    with io.open(program, encoding="utf-8", errors="replace") as source:
        found = DEFAULT_MIRROR.search(source.read())
    return found.group() if found else ""
