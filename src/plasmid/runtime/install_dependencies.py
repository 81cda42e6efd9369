"""Installs the packages of /opt/plasmid/dependencies.json inside a sandbox (contract I.7).

Programs get their arguments as lists, never through a shell; only a git dependency's build_commands
are shell code, as their author wrote them. What a manager prints goes to /tmp/dx_<manager>_install_
<index>.log. What became installed is listed in /opt/plasmid/resolved.json, name for name with exact
versions and hashes; given back as the request's `lock`, exactly that is installed, or nothing. On
failure the reason, one line, is left in /opt/plasmid/failure.

The request: {"groups": [{"manager", "index", "packages": [{"name", "version"?, ...}]}],
"environment": {variables of the managers}, "mirrors": {see environments/mirrors.py},
"lock": {what resolved.json had} or null}. Runs on Python 2.7 and 3.4 onwards.
"""

from __future__ import absolute_import, unicode_literals

import io
import json
import os
import sys

# The folder of the installers is of this job's making only, and leaves nothing in a layer.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from installers import apt, from_git, perl, python, r, ruby, running  # noqa: E402

STATE = "/opt/plasmid"

INSTALLERS = {
    "apt": apt.install,
    "pip": python.install,
    "pip3": python.install,
    "gem": ruby.install,
    "cpan": perl.install,
    "cran": r.install,
    "git": from_git.install,
}


def main():
    """Install every group in order; return the exit code."""
    with io.open(os.path.join(STATE, "dependencies.json"), encoding="utf-8") as source:
        request = json.load(source)
    resolved = {}
    for group in request["groups"]:
        try:
            made = install(group, request)
        except running.FailedError as failure:
            _write("failure", "%s\n" % failure)
            return 1
        for kind, packages in made.items():
            resolved.setdefault(kind, []).extend(packages)
    _write("resolved.json", json.dumps(resolved, indent=1, sort_keys=True))
    return 0


def install(group, request):
    """Install one group of packages; return what became installed, by kind."""
    manager = group["manager"]
    names = ", ".join(package["name"] for package in group["packages"])
    running.say("Installing %s packages %s" % (manager, names))
    step = running.Step(group, request)
    try:
        INSTALLERS[manager](step)
    except running.FailedError as failure:
        raise step.explained(failure, names)
    finally:
        step.close()
    return step.resolved


def _write(name, text):
    with io.open(os.path.join(STATE, name), "w", encoding="utf-8") as sink:
        sink.write(text.decode("utf-8") if isinstance(text, bytes) else text)


if __name__ == "__main__":
    sys.exit(main())
