"""Installs Debian packages."""

from __future__ import absolute_import, unicode_literals

import fnmatch
import glob
import os
import re
import time

from installers import checks
from installers.running import FailedError

LISTS = "/var/lib/apt/lists"
ARCHIVES = "/var/cache/apt/archives"
CLOSEST_MIRROR_LIST = "/etc/apt/sources.list.d/nucleus.list"
LISTS_HOURS_MAX = 24
INSTALL = ["apt-get", "install", "--yes", "--no-install-recommends"]
DISCARD = ["-o", "APT::Keep-Downloaded-Packages=false"]
CLOSEST_ONLY = [
    "-o",
    "Dir::Etc::sourcelist=" + CLOSEST_MIRROR_LIST,
    "-o",
    "Dir::Etc::sourceparts=-",
    "-o",
    "APT::Get::List-Cleanup=0",
]
FIELDS = "${Package}\t${Version}\t${Architecture}\t${Status}\n"
LOCK_AGAIN = "lock again (plasmid lock), or point apt to a mirror that still has it"


def install(step):
    """Install the step's packages, from the closest mirror's list first if there is one."""
    checks.names(step)
    install_packages(step, step.packages)


def need(step, program, names):
    """Make sure of a program that a manager needs, and say so if it was missing."""
    missing = program not in _programs(step)
    if missing:
        step.note("The base image has no %s: installing %s first" % (program, ", ".join(names)))
    if missing or step.locked("apt"):
        install_packages(step, [{"name": name} for name in names] if missing else [])


def install_packages(step, packages):
    """Install packages, or with a lock what it lists, and keep what became installed."""
    before = _installed(step)
    try:
        if step.locked("apt") is None:
            _install_asked(step, packages)
        else:
            _install_locked(step, before)
        after = _installed(step)
        new = sorted(key for key in after if after[key] != before.get(key))
        found = _described(step, [(name, after[name, arch], arch) for name, arch in new])
        step.resolved.setdefault("apt", []).extend(found)
        _compare(step, before, after)
    finally:
        _forget_caches()


def _install_asked(step, packages):
    if os.path.exists(CLOSEST_MIRROR_LIST):
        if step.succeeds(["apt-get", "update"] + CLOSEST_ONLY) and _try(step, packages):
            return
        step.note("APT failed, retrying with full update against official package repository")
    elif _lists_are_fresh(step):
        if _try(step, packages):
            return
        step.note("APT failed, retrying after an update of the package lists")
    step.run(["apt-get", "update"])
    step.run(INSTALL + DISCARD + ["--"] + _arguments(step, packages))


def _try(step, packages):
    try:
        return step.succeeds(INSTALL + DISCARD + ["--"] + _arguments(step, packages))
    except FailedError:
        return False


def _lists_are_fresh(step):
    """Say whether the lists are of the sources in force and young enough to go without a look."""
    if step.mirrors.get("apt_sources"):
        return False
    lists = glob.glob(LISTS + "/*Packages*") + glob.glob(LISTS + "/partial")
    newest = max([os.stat(path).st_mtime for path in lists] or [0])
    hours = step.mirrors.get("apt_lists_hours", LISTS_HOURS_MAX)
    return len(lists) > 1 and newest > time.time() - hours * 3600


def _arguments(step, packages):
    """Return what apt-get is to install; a version that is not there, or its stand-in, is told."""
    return [_argument(step, package) for package in packages]


def _argument(step, package):
    name, version = package["name"], package.get("version")
    substitute = step.mirrors.get("apt_substitutes", {}).get(name)
    if substitute and not _is_known(step, name):
        step.note(
            "WARNING: the base image has no package %s: installing %s instead, as "
            "[packages.substitutes] of plasmid.toml says" % (name, substitute)
        )
        return substitute
    if version is None:
        return name
    versions = _versions(step, [name]).get(name, [])
    if not versions or any(fnmatch.fnmatchcase(found, version) for found in versions):
        return name + "=" + version
    if step.mirrors.get("apt_version_mismatch") != "nearest":
        raise FailedError(
            "the base image has no version %s of %s; it has %s"
            % (version, name, ", ".join(versions)),
            "ask for one of these or for none, or set [packages] version_mismatch = "
            '"nearest" in plasmid.toml',
        )
    nearest = _nearest(step, versions, version)
    step.note(
        "WARNING: the base image has no version %s of %s: installing the nearest, %s"
        % (version, name, nearest)
    )
    return name + "=" + nearest


def _nearest(step, versions, wanted):
    """Return the version of the same upstream release, else the next above, else the highest."""
    release = _release(wanted)
    for version in versions:
        if _release(version) == release:
            return version
    above = [v for v in versions if step.succeeds(["dpkg", "--compare-versions", v, "gt", wanted])]
    return above[-1] if above else versions[0]


def _release(version):
    return re.sub(r"(\+dfsg|\+ds|~|-).*", "", version.split(":")[-1])


def _versions(step, names):
    """Return the versions that apt could install of each name, the highest first."""
    found = {}
    for line in step.output(["apt-cache", "madison", "--"] + names).splitlines():
        name, version, source = [part.strip() for part in (line + "||").split("|")[:3]]
        if not source.endswith("Sources") and version not in found.setdefault(name, []):
            found[name].append(version)
    return found


def _is_known(step, name):
    if _versions(step, [name]):
        return True
    provided = step.output(["apt-cache", "showpkg", "--", name]).partition("Reverse Provides:")[2]
    return bool(provided.strip())


def _installed(step):
    """Return {(name, architecture): version} of all that is installed."""
    found = {}
    for line in step.output(["dpkg-query", "-W", "-f", FIELDS]).splitlines():
        name, version, architecture, status = line.split("\t")
        if status == "install ok installed":
            found[name, architecture] = version
    return found


def _described(step, packages):
    """Return packages with the hash of their archive, as the signed lists have it."""
    if not packages:
        return []
    arguments = ["%s=%s" % (name, version) for name, version, _ in packages]
    hashes = {}
    for stanza in step.output(["apt-cache", "show", "--"] + arguments).split("\n\n"):
        fields = dict(re.findall(r"(?m)^(Package|Version|Architecture|SHA256): (.*)$", stanza))
        key = (fields.get("Package"), fields.get("Version"), fields.get("Architecture"))
        hashes[key] = fields.get("SHA256")
    return [
        _row(name, version, architecture, hashes.get((name, version, architecture)))
        for name, version, architecture in packages
    ]


def _row(name, version, architecture, digest):
    row = {"name": name, "version": version, "architecture": architecture}
    if digest:
        row["sha256"] = digest
    return row


def _install_locked(step, before):
    """Install what the lock lists and nothing else; every archive's hash is checked before."""
    wanted = [
        row
        for row in step.locked("apt")
        if before.get((row["name"], row["architecture"])) != row["version"]
    ]
    if not wanted:
        return
    native = step.output(["dpkg", "--print-architecture"]).strip()
    if not _lists_are_fresh(step) or _absent(step, wanted):
        step.run(["apt-get", "update"])
    missing = _absent(step, wanted)
    if missing:
        raise FailedError("; ".join(missing), LOCK_AGAIN)
    command = INSTALL + ["--allow-downgrades"]
    arguments = ["--"] + [_pinned(row, native) for row in wanted]
    step.run(command + ["--download-only"] + arguments)
    for row in wanted:
        step.check_hash(_archive(row), row)
    step.run(command + ["--no-download"] + arguments)
    for path in glob.glob(ARCHIVES + "/*.deb"):
        os.unlink(path)


def _absent(step, wanted):
    """Return what of a lock the mirror does not have, one line each."""
    versions = _versions(step, [row["name"] for row in wanted])
    return [
        "the lock asks for %s %s; the mirror has %s"
        % (row["name"], row["version"], ", ".join(versions.get(row["name"], [])) or "none")
        for row in wanted
        if row["version"] not in versions.get(row["name"], [])
    ]


def _pinned(row, native):
    foreign = row["architecture"] not in ("all", native)
    qualifier = ":" + row["architecture"] if foreign else ""
    return "%s%s=%s" % (row["name"], qualifier, row["version"])


def _archive(row):
    version = row["version"].replace(":", "%3a")
    return "%s/%s_%s_%s.deb" % (ARCHIVES, row["name"], version, row["architecture"])


def _compare(step, before, after):
    """Refuse an installation that differs from the lock."""
    if step.locked("apt") is None:
        return
    locked = {(row["name"], row["architecture"]): row["version"] for row in step.locked("apt")}
    other = [
        "%s %s" % (key[0], after[key])
        for key in sorted(after)
        if after[key] != before.get(key) and after[key] != locked.get(key)
    ]
    if other:
        raise FailedError(
            "apt also installed %s, which is not in the lock" % ", ".join(other), LOCK_AGAIN
        )


def _programs(step):
    return [
        name
        for folder in step.environment.get("PATH", "/usr/bin").split(":")
        if os.path.isdir(folder)
        for name in os.listdir(folder)
    ]


def _forget_caches():
    """Remove what apt can make again, so that it fills no layer."""
    for path in glob.glob("/var/cache/apt/*.bin"):
        os.unlink(path)
