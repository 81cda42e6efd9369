"""What a field of a dependency may hold; all else is refused before any manager sees it.

Managers read much more than names: options, files, pipes, programs to run. Nothing here is ever in
a shell, so these are about the managers alone.
"""

from __future__ import absolute_import, unicode_literals

import re

from installers.running import FailedError

VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~:_!*-]*\Z")
_WHEEL_OR_URL = r"(git\+(https?|ssh|git)|https?)://[^\s;'\"`$|&<>]+|/[^\s;'\"`$|&<>]+"
NAMES = {
    "apt": re.compile(
        r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?(=[0-9A-Za-z.+~:*-]+)?(/[a-z0-9.-]+)?\Z"
    ),
    "pip": re.compile(
        r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._, -]*\])?"
        r"( *([<>=!~]=?|===?) *[0-9A-Za-z.*+!-]+(, *([<>=!~]=?|===?) *[0-9A-Za-z.*+!-]+)*)?"
        r"|" + _WHEEL_OR_URL + r")\Z"
    ),
    "gem": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z"),
    "cpan": re.compile(
        r"([A-Za-z_][A-Za-z0-9_]*((::|-)[A-Za-z0-9_]+)*|[A-Z0-9-]+/[A-Za-z0-9_.+/-]+"
        r"|https?://[^\s;'\"`$|&<>]+)\Z"
    ),
    "cran": re.compile(r"[A-Za-z][A-Za-z0-9.]*\Z"),
}
NAMES["pip3"] = NAMES["pip"]
GIT_URL = re.compile(
    r"((https?|ssh|git)://[^\s\x00-\x1f-][^\s\x00-\x1f]*"
    r"|([A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:|//)[^\s\x00-\x1f:-][^\s\x00-\x1f]*)\Z"
)
GIT_TAG = re.compile(r"[A-Za-z0-9_][^\s\x00-\x1f\x7f~^:?*\[\\]*\Z")
GIT_FOLDER = re.compile(r"[^\x00-\x1f-][^\x00-\x1f]*\Z")

MEANT = {
    "name": "one package of this manager by its name",
    "version": "one version, as the manager writes it",
    "url": "an https://, http://, ssh:// or git:// address",
    "tag": "a tag, a branch or a commit",
    "destdir": "a folder without ..",
}


def names(step):
    """Refuse packages whose name or version is none; raises FailedError naming the field."""
    for package in step.packages:
        _check("name", package["name"], NAMES[step.manager])
        if package.get("version") is not None:
            _check("version", package["version"], VERSION)


def repository(package):
    """Refuse a git dependency whose fields are more than they should be."""
    _check("url", package["url"], GIT_URL)
    if package.get("tag") is not None:
        _check("tag", package["tag"], GIT_TAG)
    if package.get("destdir") is not None:
        _check("destdir", package["destdir"], GIT_FOLDER)
        if ".." in package["destdir"].split("/"):
            raise refused("destdir", package["destdir"])
    if "\0" in (package.get("build_commands") or ""):
        raise refused("build_commands", package["build_commands"])


def _check(field, value, pattern):
    if not pattern.match(value):
        raise refused(field, value)


def refused(field, value):
    """Return the error for a field."""
    shown = repr(value).lstrip("u")[:120]
    return FailedError(
        "the %s %s is refused" % (field, shown),
        "correct it in execDepends: it must be %s" % MEANT.get(field, "text"),
    )
