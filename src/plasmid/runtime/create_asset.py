"""Builds an asset inside a job: installs what a dxasset.json names and keeps what that changed.

Runs in the job of an app-create_asset_... (contract I.7) under Python 3 or 2.7. The archive is
rooted at `/` and holds the files that are new or different afterwards; the record that names it is
the job's output. Whatever goes wrong becomes the job's error, in one line.
"""

from __future__ import print_function

import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile

HOME = "/home/dnanexus"
STATE = "/opt/plasmid"
INSTALLER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "install_dependencies.py")
WORK = "/tmp/create-asset"
LAST_LINES = 5
LINE_LENGTH_MAX = 200
GROUPED = ("apt", "gem", "cpan", "cran", "pip", "pip3")
NEVER_INSTALLED_BY_APT = ("dx-toolkit", "jq", "python-argcomplete")
# What is the machine's or the job's and no part of what was installed.
NEVER_KEPT = ("/proc", "/sys", "/dev", "/run")
EXCLUDED = NEVER_KEPT + (
    "/boot", "/root", "/tmp", "/var/cache", "/var/lib/apt/lists", "/var/log", "/var/tmp",
    "/opt/dnanexus", STATE, HOME, "/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/status-old", "/var/lib/dpkg/triggers/Lock",
)  # fmt: skip
PROPERTIES = ("title", "description", "version", "distribution", "release", "runSpecVersion")


class AssetError(Exception):
    """The asset cannot be built; the message says why and what to do."""


def main():
    """Build the asset of this job's input; return the exit code."""
    try:
        with io.open(os.path.join(HOME, "job_input.json"), encoding="utf-8") as source:
            given = json.load(source)
        if not os.path.isdir(WORK):
            os.makedirs(WORK)
        record = build(given)
    except AssetError as error:
        with io.open(os.path.join(HOME, "job_error.json"), "w", encoding="utf-8") as sink:
            sink.write(text_of({"error": {"type": "AppError", "message": "%s" % error}}))
        print("The asset could not be built: %s" % error, file=sys.stderr)
        return 1
    with io.open(os.path.join(HOME, "job_output.json"), "w", encoding="utf-8") as sink:
        sink.write(text_of({"asset_bundle": {"$dnanexus_link": record}}))
    return 0


def text_of(value):
    """Return a value as JSON text, unicode under Python 2 too."""
    text = json.dumps(value)
    return text if isinstance(text, type("")) and str is not bytes else text.decode("utf-8")


def build(given):
    """Do all there is to do and return the id of the asset's record."""
    conf = read_conf(fetch(given["conf_json"], "dxasset.json"))
    groups = plan(conf.get("execDepends") or [])
    custom = fetch(given.get("custom_asset"), "custom_asset.tar.gz")
    makefile = fetch(given.get("asset_makefile"), "Makefile")
    before = snapshot()
    install(groups)
    kept = unpack(custom) if custom else []
    if makefile:
        say("Running make")
        run(["make", "-f", makefile], "the Makefile failed", folder=HOME)
    say("Looking for what has changed")
    changed = changes(before, snapshot(), kept, conf.get("excludeResource") or [])
    archive = pack(changed)
    say("The asset has %d files, %d bytes packed" % (len(changed), os.path.getsize(archive)))
    return upload(conf, archive)


def say(message):
    """Tell the job's log what is going on."""
    print(message)
    sys.stdout.flush()


def fetch(link, name):
    """Download an input file and return its path; None if there is no such input."""
    if link is None:
        return None
    target = link["$dnanexus_link"]
    file_id = target["id"] if isinstance(target, dict) else target
    path = os.path.join(WORK, name)
    asked = ["dx", "download", file_id, "--no-progress", "-f", "-o", path]
    run(asked, "%s could not be downloaded" % name)
    return path


def read_conf(path):
    """Return what the dxasset.json says; it must have a name."""
    try:
        with io.open(path, encoding="utf-8") as source:
            conf = json.load(source)
    except ValueError as error:
        raise AssetError("dxasset.json is not valid JSON: %s" % error)
    name = conf.get("name") if isinstance(conf, dict) else None
    if not name or not is_text(name):
        raise AssetError('dxasset.json has no "name"')
    excluded = conf.get("excludeResource") or []
    if not isinstance(excluded, list) or not all(is_text(path) for path in excluded):
        raise AssetError('"excludeResource" of dxasset.json must be an array of paths')
    return conf


def is_text(value):
    """Say whether a value from JSON is text, under Python 2 too."""
    return isinstance(value, type(json.loads('"x"')))


def plan(entries):
    """Return the groups of packages, neighbours of one manager together (contract I.7)."""
    if not isinstance(entries, list):
        raise AssetError('"execDepends" of dxasset.json must be an array of objects')
    groups = []
    for entry in entries:
        if not isinstance(entry, dict) or not is_text(entry.get("name")) or not entry["name"]:
            raise AssetError("an entry of execDepends has no name: %s" % json.dumps(entry))
        manager = entry.get("package_manager") or "apt"
        if manager not in GROUPED + ("git",):
            raise AssetError("%s: there is no package manager %s" % (entry["name"], manager))
        if manager == "apt" and entry["name"] in NEVER_INSTALLED_BY_APT:
            continue
        check_arguments(entry, manager)
        package = {
            key: "%s" % entry[key]
            for key in ("name", "version", "url", "tag", "destdir", "build_commands")
            if entry.get(key) is not None
        }
        if groups and groups[-1]["manager"] == manager and manager in GROUPED:
            groups[-1]["packages"].append(package)
        else:
            groups.append({"manager": manager, "index": len(groups), "packages": [package]})
    return groups


def check_arguments(entry, manager):
    """Refuse what the manager would take for an option."""
    keys = ("url", "tag", "destdir") if manager == "git" else ("name",)
    if manager == "git" and not entry.get("url"):
        raise AssetError("the git dependency %s has no url" % entry["name"])
    for key in keys:
        value = "%s" % (entry.get(key) or "")
        if value.startswith("-") or "\0" in value:
            raise AssetError("%r is no name that %s could install" % (value, manager))


def install(groups):
    """Install the packages by the program that installs every job's dependencies."""
    if not groups:
        return
    told = {"groups": groups, "environment": {}, "mirrors": {}, "lock": None}
    mirrors = os.path.join(STATE, "mirrors.json")
    if os.path.exists(mirrors):
        with io.open(mirrors, encoding="utf-8") as source:
            told["mirrors"] = json.load(source)
    with io.open(os.path.join(STATE, "dependencies.json"), "w", encoding="utf-8") as sink:
        sink.write(text_of(told))
    failure = os.path.join(STATE, "failure")
    if subprocess.call([sys.executable, INSTALLER]) == 0:
        return
    reason = "the packages could not be installed: the log has the reason"
    if os.path.exists(failure):
        with io.open(failure, encoding="utf-8") as source:
            reason = source.read().strip() or reason
        os.remove(failure)
    raise AssetError(reason)


def unpack(archive):
    """Put the author's own files at `/` and return their paths."""
    say("Unpacking the resources at /")
    try:
        with tarfile.open(archive) as tar:
            names = [member.name for member in tar.getmembers() if not member.isdir()]
    except (tarfile.TarError, EOFError, IOError) as error:
        raise AssetError("custom_asset is not a readable tar.gz: %s" % error)
    run(["dx-unpack", archive], "custom_asset could not be unpacked", folder="/")
    return [os.path.join("/", os.path.normpath("/" + name).lstrip("/")) for name in names]


def run(arguments, failure, folder="/", quiet=0):
    """Run a program and return what it says, which the log shows unless it is to be quiet.

    Raises AssetError with the end of it.
    """
    lines = []
    try:
        process = subprocess.Popen(
            arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise AssetError("%s: %s cannot be run (%s)" % (failure, arguments[0], error.strerror))
    for raw in iter(process.stdout.readline, b""):
        line = raw.decode("utf-8", "replace").rstrip("\n")
        if not quiet:
            say(line if str is not bytes else line.encode("utf-8"))
        lines.append(line.strip()[:LINE_LENGTH_MAX])
    process.stdout.close()
    if process.wait() != 0:
        last = " | ".join([line for line in lines if line][-LAST_LINES:])
        raise AssetError("%s: %s ended with code %d: %s"
                         % (failure, arguments[0], process.returncode, last))  # fmt: skip
    return lines


def snapshot():
    """Return {path: what would differ if it were changed} of the file system, but for excluded."""
    skipped = set(EXCLUDED) | mounts()
    found = {}
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in skipped]
        for name in folders + names:
            path = os.path.join(folder, name)
            if path not in skipped:
                mark = mark_of(path)
                if mark is not None:
                    found[path] = mark
    return found


def mark_of(path):
    """Return what tells a file from what it was; None if it is none that an archive keeps."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        return (status.st_mode, status.st_size, status.st_mtime, status.st_ctime)
    return None


def mounts():
    """Return where other file systems are mounted."""
    try:
        with io.open("/proc/self/mountinfo", encoding="utf-8") as source:
            places = [line.split()[4] for line in source]
    except (IOError, OSError):
        return set()
    return {place for place in places if place != "/"}


def changes(before, after, kept, excluded):
    """Return the paths that are new or different, and the author's own, wherever these lie."""
    gone = len(set(before) - set(after))
    if gone:
        say("%d files were deleted, which an asset cannot do: they stay where it is used" % gone)
    found = {path for path, mark in after.items() if before.get(path) != mark}
    found |= {path for path in kept if os.path.lexists(path) and not is_below(path, NEVER_KEPT)}
    left_out = ["/" + path.strip("/") for path in excluded]
    return sorted(path for path in found if not is_below(path, left_out))


def is_below(path, folders):
    """Say whether a path is one of the folders or inside one."""
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def pack(paths):
    """Write the archive, rooted at `/`, and return its path."""
    listed, archive = os.path.join(WORK, "paths"), os.path.join(WORK, "asset.tar.gz")
    with open(listed, "wb") as sink:
        sink.writelines(encoded("." + path) + b"\0" for path in paths)
    how = ["tar", "-czf", archive, "-C", "/", "--no-recursion", "--null", "-T", listed]
    run(how, "the archive could not be written")
    return archive


def encoded(path):
    """Return a path as the bytes that it has on disk."""
    return path if isinstance(path, bytes) else os.fsencode(path)


def upload(conf, archive):
    """Upload the archive, make the record that names it, and return the record's id."""
    workspace = os.environ["DX_WORKSPACE_ID"]
    put = ["dx", "upload", archive, "--brief", "--no-progress", "--wait", "--visibility", "hidden"]
    put += ["--path", workspace + ":/"]
    lines = run(put, "the archive could not be uploaded", quiet=1)
    file_id = [line for line in lines if re.match("file-[0-9A-Za-z]{24}$", line)][-1]
    name = re.sub("[/\0-\x1f]", "_", conf["name"]) + ".tar.gz"
    properties = {key: "%s" % conf[key] for key in PROPERTIES if conf.get(key) is not None}
    for key, default in (("distribution", "Ubuntu"), ("runSpecVersion", "0")):
        properties.setdefault(key, default)
    call(file_id, "rename", {"project": workspace, "name": name})
    asked = {
        "project": workspace,
        "name": conf["name"],
        "types": ["AssetBundle"],
        "details": {"archiveFileId": {"$dnanexus_link": file_id}},
        "properties": properties,
        "close": True,
    }
    record = call("record", "new", asked)["id"]
    named = {"project": workspace, "properties": {"AssetBundle": record}}
    call(file_id, "setProperties", named)
    say("The asset is %s" % record)
    return record


def call(subject, verb, body):
    """Call the API with the job's rights and return the answer."""
    path = os.path.join(WORK, "body.json")
    with io.open(path, "w", encoding="utf-8") as sink:
        sink.write(text_of(body))
    asked = ["dx", "api", subject, verb, "--input", path]
    lines = run(asked, "the asset could not be registered", quiet=1)
    return json.loads("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
