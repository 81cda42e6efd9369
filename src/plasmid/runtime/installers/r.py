"""Installs R packages."""

from __future__ import absolute_import, unicode_literals

import glob
import os
import re

from installers import apt, checks
from installers.running import FailedError, sha256

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "install_cran.R")


def install(step):
    """Install each package, the versions that are asked for by their archive."""
    checks.names(step)
    apt.need(step, "Rscript", ["r-base-core"])
    if step.mirrors.get("cran"):
        step.probe(step.mirrors["cran"].rstrip("/") + "/src/contrib/PACKAGES")
    if step.locked("cran") is not None:
        _install_locked(step)
        return
    kept = os.path.join(step.scratch, "sources")
    os.mkdir(kept)
    for package in step.packages:
        _run(step, ["install", kept, package["name"], package.get("version") or "-"])
    step.resolved["cran"] = _rows(step, kept)


def _run(step, arguments):
    repository = step.mirrors.get("cran") or "-"
    timeout = str(step.mirrors.get("timeout_seconds", 60))
    step.run(["Rscript", "--no-save", "--no-restore", SCRIPT, repository, timeout] + arguments)


def _rows(step, kept):
    """Return what was installed, in the order in which that was done."""
    with open(step.log_path, "rb") as log:
        done = re.findall(r"(?m)^\* DONE \((\S+)\)", log.read().decode("utf-8", "replace"))
    rows = []
    for name in done:
        for path in glob.glob(os.path.join(kept, name + "_*.tar.gz")):
            file_name = os.path.basename(path)
            version = file_name[len(name) + 1 : -len(".tar.gz")]
            rows.append({"name": name, "version": version, "sha256": sha256(path)})
    return rows


def _install_locked(step):
    """Download the lock's packages, check them, and install these files in their order."""
    kept = os.path.join(step.scratch, "sources")
    os.mkdir(kept)
    for row in step.locked("cran"):
        try:
            _run(step, ["download", kept, row["name"], row["version"]])
        except FailedError:
            problem = "the lock asks for %s %s, which CRAN does not have"
            raise FailedError(problem % (row["name"], row["version"]), apt.LOCK_AGAIN)
        step.check_hash("%s/%s_%s.tar.gz" % (kept, row["name"], row["version"]), row)
    for row in step.locked("cran"):
        _run(step, ["file", "%s/%s_%s.tar.gz" % (kept, row["name"], row["version"])])
    step.resolved["cran"] = list(step.locked("cran"))
