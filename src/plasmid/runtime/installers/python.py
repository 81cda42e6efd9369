"""Installs Python packages: by uv where it can, by pip otherwise, with the same result.

uv resolves as pip does: what is installed stays if it fits, but for the packages that are asked
for. Where uv gives up, pip has the last word, and its message is the one that is told.
"""

from __future__ import absolute_import, unicode_literals

import io
import json
import os
import re

from installers import apt, checks
from installers.running import FailedError, find_program

UV = "/opt/plasmid/uv"
UV_PYTHON_MIN = (3, 8)
REPORT_PIP_MIN = (22, 2)
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?( *[<>=!~].*)?\Z")
PINNED = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)((?:.*\\\n)*.*)$")
HASH = re.compile(r"sha256:([0-9a-f]{64})")
# Run by the Python that is installed into.
ASK = """
import json, os, sys
rows = []
for folder in sys.path:
    for entry in os.listdir(folder) if os.path.isdir(folder) else []:
        stem, kind = os.path.splitext(entry)
        if kind not in (".dist-info", ".egg-info"):
            continue
        path = os.path.join(folder, entry)
        for name in ("METADATA", "PKG-INFO", ""):
            about = os.path.join(path, name) if name else path
            if os.path.isfile(about):
                break
        else:
            continue
        told = {}
        with open(about, "rb") as text:
            for line in text:
                key, _, value = line.decode("utf-8", "replace").partition(": ")
                if not key.strip():
                    break
                told.setdefault(key, value.strip())
        url = os.path.join(path, "direct_url.json")
        found = json.load(open(url)) if os.path.isfile(url) else None
        rows.append([told.get("Name", ""), told.get("Version", ""), found])
print(json.dumps([list(sys.version_info[:2]), rows]))
"""

COMPILE = """
import compileall, re, sys
from importlib import metadata
places = set()
for name in sys.argv[1:]:
    for file in metadata.distribution(name).files or ():
        top = file.parts[0]
        if file.suffix == ".py" and top != "..":
            places.add((str(file.locate().parents[len(file.parts) - 2]) if len(file.parts) > 1
                        else str(file.locate()), len(file.parts) > 1))
for place, is_folder in sorted(places):
    if is_folder:
        compileall.compile_dir(place, quiet=2, workers=0, rx=re.compile("/tests?/"))
    else:
        compileall.compile_file(place, quiet=2)
"""


def install(step):
    """Install the step's packages, newest first unless a version is asked for."""
    checks.names(step)
    scratch = step.scratch
    step.environment.update(
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_ROOT_USER_ACTION="ignore",
        PIP_NO_INPUT="1",
        PIP_PROGRESS_BAR="off",
        PIP_CACHE_DIR=os.path.join(scratch, "pip"),
    )
    pip = _command(step)
    python = _python(step, pip)
    _probe(step)
    version, before = _installed(step, python)
    # Before the newest of its kind, pip knows other options; uv has the Pythons that are alive.
    with_uv = version >= UV_PYTHON_MIN and os.path.exists(UV)
    if step.locked("pip") is not None:
        hashes = _install_locked(step, pip, python, before, with_uv)
    elif with_uv and all(PLAIN.match(package["name"]) for package in step.packages):
        hashes = _by_uv(step, python, before)
        if hashes is None:
            step.note("uv cannot install these: trying with pip itself")
            hashes = _by_pip(step, pip)
    else:
        hashes = _by_pip(step, pip)
    after = _installed(step, python)[1]
    step.resolved["pip"] = [
        _row(after[key], hashes) for key in sorted(after) if after[key] != before.get(key)
    ]
    _compare(step)


def _probe(step):
    index = step.environment.get("PIP_INDEX_URL")
    if index and PLAIN.match(step.packages[0]["name"]):
        name = normal(re.split(r"[\[<>=!~ ]", step.packages[0]["name"])[0])
        step.probe("%s/%s/" % (index.rstrip("/"), name))


def _command(step):
    """Return how to call the pip of the asked name here."""
    if find_program(step.manager, step.environment):
        return [step.manager]
    if find_program("python3", step.environment) is None:
        raise FailedError("the base image has no %s" % step.manager)
    if not step.succeeds(["python3", "-m", "pip", "--version"]):
        apt.install_packages(step, [{"name": "python3-pip"}])
    return ["python3", "-m", "pip"]


def _python(step, pip):
    """Return the Python that a pip belongs to, which its first line names."""
    path = find_program(pip[0], step.environment) or pip[0]
    if len(pip) == 1:
        with io.open(path, "rb") as script:
            words = script.readline().decode("utf-8", "replace").split()
        if words and words[0].startswith("#!") and "python" in words[-1]:
            return words[-1] if words[0].endswith("/env") else words[0][2:]
    return "python3"


def _installed(step, python):
    """Return the Python's version and {normal name: (name, version, origin)}, as it sees them."""
    version, rows = json.loads(step.output([python, "-c", ASK]))
    found = {}
    for name, release, origin in rows:
        if name and release:
            found.setdefault(normal(name), (name, release, origin))
    return tuple(version), found


def normal(name):
    """Return a package's name in its one form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirement(package):
    version = package.get("version")
    return package["name"] if version is None else "%s==%s" % (package["name"], version)


def _by_uv(step, python, before):
    """Resolve with hashes, install exactly that; return the hashes, or None if uv cannot."""
    asked = [_requirement(package) for package in step.packages]
    named = {normal(re.split(r"[\[<>=!~ ]", text)[0]) for text in asked}
    wanted, pins = (os.path.join(step.scratch, name) for name in ("wanted.txt", "pins.txt"))
    _write(wanted, asked)
    # uv prefers what the file that it is to write has already: so what is installed stays.
    kept = sorted("%s==%s" % (name, before[name][1]) for name in before if name not in named)
    _write(pins, kept)
    options = ["--python", python, "--generate-hashes", "--no-header", "--no-annotate"]
    command = ["pip", "compile", "--quiet", "--output-file", pins] + options + [wanted]
    if not _uv(step, command):
        return None
    with io.open(pins, encoding="utf-8") as source:
        text = source.read()
    rows = [(m.group(1), m.group(2), m.group(0)) for m in PINNED.finditer(text)]
    new = [row for row in rows if before.get(normal(row[0]), ("", "", 0))[1] != row[1]]
    changed = [name for name, _, _ in new if normal(name) in before and normal(name) not in named]
    if changed and not _are_offered(step, python, [(n, before[normal(n)][1]) for n in changed]):
        return None
    _write(pins, [row[2] for row in new])
    if new and not _install_pins(step, python, pins):
        return None
    _compile(step, python, [row[0] for row in new])
    return {normal(name): HASH.findall(entry) for name, _, entry in rows}


def _are_offered(step, python, packages):
    """Say whether the index has what is installed: else uv leaves it where pip would not."""
    asked = os.path.join(step.scratch, "installed.txt")
    _write(asked, ["%s==%s" % package for package in packages])
    return _uv(step, ["pip", "compile", "--quiet", "--no-deps", "--python", python, asked])


def _install_pins(step, python, pins):
    options = ["--system", "--python", python, "--no-deps"]
    if step.environment.get("PIP_BREAK_SYSTEM_PACKAGES", "0") in ("1", "true", "yes", "on"):
        options.append("--break-system-packages")
    return _uv(step, ["pip", "install", "--require-hashes"] + options + ["--requirements", pins])


def _compile(step, python, names):
    """Compile what uv has installed, as pip would: jobs cannot, for a layer is read-only.

    Tests stay as they are: nobody imports them, and they are half of what there is.
    """
    step.succeeds([python, "-c", COMPILE] + names)


def _uv(step, arguments):
    variables = {
        "TMPDIR": step.scratch,
        "UV_CACHE_DIR": os.path.join(step.scratch, "uv"),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    return step.succeeds([UV] + arguments, variables)


def _by_pip(step, pip):
    """Install by pip itself; return the hashes of what it took, as far as it tells them."""
    asked = [_requirement(package) for package in step.packages]
    report = os.path.join(step.scratch, "report")
    match = re.search(r"(\d+)\.(\d+)", step.output(pip + ["--version"]))
    reports = match and (int(match.group(1)), int(match.group(2))) >= REPORT_PIP_MIN
    options = ["--report", report] if reports else ["--log", report]
    step.run(pip + ["install", "--upgrade"] + options + ["--"] + asked)
    with io.open(report, encoding="utf-8", errors="replace") as source:
        text = source.read()
    return _reported(json.loads(text)) if reports else _logged(text)


def _reported(report):
    hashes = {}
    for entry in report["install"]:
        about = entry["download_info"].get("archive_info", {})
        found = about.get("hashes", {}).get("sha256") or about.get("hash", "").partition("=")[2]
        if found:
            hashes[normal(entry["metadata"]["name"])] = [found]
    return hashes


def _logged(text):
    """Return the hashes that an older pip's log has of files, by the files' stems."""
    hashes = {}
    for stem, digest in re.findall(r"/([^/\s#]+)#sha256=([0-9a-f]{64})", text):
        hashes.setdefault(stem, []).append(digest)
    return hashes


def _row(found, hashes):
    name, version, origin = found
    row = {"name": name, "version": version, "hashes": hashes.get(normal(name))}
    if row["hashes"] is None:
        stem = re.compile(r"%s-%s[-.]" % (normal(name).replace("-", "[-_.]"), re.escape(version)))
        files = [digests for file, digests in hashes.items() if stem.match(file.lower())]
        row["hashes"] = sorted({digest for digests in files for digest in digests})
    if origin and "vcs_info" in origin:
        about = origin["vcs_info"]
        row["url"] = "%s+%s@%s" % (about["vcs"], origin["url"], about["commit_id"])
    elif origin:
        row["url"] = origin["url"]
    return row


def _install_locked(step, pip, python, before, with_uv):
    """Install what the lock lists, by its hashes; return these."""
    rows = [
        row
        for row in step.locked("pip")
        if before.get(normal(row["name"]), ("", ""))[1] != row["version"]
    ]
    pins = os.path.join(step.scratch, "pins.txt")
    hashed = [row for row in rows if row["hashes"]]
    _write(pins, [_pin(row) for row in hashed])
    try:
        if hashed and with_uv and _install_pins(step, python, pins):
            _compile(step, python, [row["name"] for row in hashed])
        elif hashed:
            step.run(pip + ["install", "--require-hashes", "--no-deps", "--requirement", pins])
        for row in rows:
            if not row["hashes"]:
                exact = row.get("url") or "%s==%s" % (row["name"], row["version"])
                step.run(pip + ["install", "--no-deps", "--", exact])
    except FailedError as failure:
        told = ", ".join("%s %s" % (row["name"], row["version"]) for row in rows)
        raise FailedError("%s, for the lock asks for exactly %s" % (failure, told))
    return {normal(row["name"]): row["hashes"] for row in step.locked("pip")}


def _pin(row):
    hashes = ["--hash=sha256:" + digest for digest in row["hashes"]]
    return " \\\n    ".join(["%s==%s" % (row["name"], row["version"])] + hashes)


def _compare(step):
    """Refuse an installation that differs from the lock."""
    if step.locked("pip") is None:
        return
    locked = {(normal(row["name"]), row["version"]) for row in step.locked("pip")}
    other = [
        "%s %s" % (row["name"], row["version"])
        for row in step.resolved["pip"]
        if (normal(row["name"]), row["version"]) not in locked
    ]
    if other:
        problem = "pip also installed %s, which is not in the lock"
        raise FailedError(problem % ", ".join(other), apt.LOCK_AGAIN)


def _write(path, lines):
    with io.open(path, "w", encoding="utf-8") as sink:
        sink.writelines("%s\n" % line for line in lines)
