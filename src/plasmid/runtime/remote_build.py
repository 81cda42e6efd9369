"""Builds an applet or app inside a job from the archive of its folder: `dx build --remote`.

Runs in the job of an app-tarball_applet_builder or app-tarball_app_builder, under Python 3 or 2.7.
An applet that is built is the job's output. Whatever goes wrong becomes the job's error, in one
line; what dx says is in the job's log.
"""

from __future__ import print_function

import io
import json
import os
import re
import subprocess
import sys

HOME = "/home/dnanexus"
SOURCE = "/tmp/source"
# What the job was asked for, and the option of `dx build` that is the same.
VALUES = {"version_override": "--version", "bill_to_override": "--bill-to"}
REFUSALS = {
    "do_version_autonumbering": "--no-version-autonumbering",
    "do_try_update": "--no-update",
    "do_parallel_build": "--no-parallel-build",
    "do_check_syntax": "--no-check-syntax",
}
STRING = type(json.loads('""'))  # Python 2 has two
ID = re.compile(r'"(app|applet)-[0-9A-Za-z]{24}"')


class BuildError(Exception):
    """Nothing can be built; the message says why."""


def main(mode):
    """Build what this job's input holds; return the exit code."""
    try:
        with io.open(os.path.join(HOME, "job_input.json"), encoding="utf-8") as source:
            given = json.load(source)
        unpack(given["input_file"])
        built = build(mode, given.get("build_options") or {}, given.get("publish"))
    except BuildError as error:
        keep("job_error.json", {"error": {"type": "AppError", "message": "%s" % error}})
        return 1
    output = {"output_applet": {"$dnanexus_link": built}} if mode == "applet" else {}
    keep("job_output.json", output)
    return 0


def keep(name, value):
    """Write a file of the job."""
    text = json.dumps(value)
    with io.open(os.path.join(HOME, name), "wb") as sink:
        sink.write(text.encode("utf-8"))


def unpack(link):
    """Unpack the archive of the folder."""
    target = link["$dnanexus_link"]
    file_id = target["id"] if isinstance(target, dict) else target
    os.makedirs(SOURCE)
    archive = SOURCE + ".tar.gz"
    run(["dx", "download", file_id, "--no-progress", "-f", "-o", archive])
    run(["tar", "-xzf", archive, "-C", SOURCE, "--no-same-owner"])


def text(options, name):
    """Return an option that is a string, or None."""
    value = options.get(name)
    if value is not None and not isinstance(value, STRING):
        raise BuildError('Expected key "%s" of build_options to be a string' % name)
    return value


def arguments(mode, options, publish):
    """Return the call of dx that builds as it was asked for."""
    call = ["dx", "build", "--json", "--yes"]
    for name, option in sorted(VALUES.items()):
        if options.get(name):
            call += [option, text(options, name)]
    call += [option for name, option in sorted(REFUSALS.items()) if options.get(name) is False]
    if mode == "applet":
        destination = text(options, "destination_override") or "/"
        call += ["--destination", os.environ["DX_WORKSPACE_ID"] + ":" + destination]
    else:
        call += ["--app", "--no-temp-build-project"] + (["--publish"] if publish else [])
    return call + [SOURCE]


def build(mode, options, publish):
    """Return the id of what was built."""
    found = ID.search(run(arguments(mode, options, publish)))
    if found is None:
        raise BuildError("dx build has said nothing of what it built")
    return found.group(0).strip('"')


def run(call):
    """Run a program and return what it prints; its errors go to the log."""
    started = subprocess.Popen(call, stdout=subprocess.PIPE)
    printed = started.communicate()[0].decode("utf-8", "replace")
    if started.returncode != 0:
        print(printed)
        raise BuildError(
            "%s failed with exit code %d; the log has what it said"
            % (" ".join(call[:2]), started.returncode)
        )
    return printed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
