"""What a job needs installed before its code runs, in order (contract I.7).

Bundled archives come first, then `execDepends` with neighbours of one package manager grouped. What
another entry point needs, and what every base image has already, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import failures, ids

GROUPED_MANAGERS: Final = ("apt", "gem", "cpan", "cran", "pip", "pip3")
MANAGERS: Final = frozenset({*GROUPED_MANAGERS, "git"})
# Every base image has these, and the packages of a distribution would replace them by older ones.
NEVER_INSTALLED_BY_APT: Final = frozenset({"dx-toolkit", "jq", "python-argcomplete"})


class Bundle(msgspec.Struct, frozen=True):
    """An archive that is unpacked at `/` under its name."""

    name: str
    file_id: str


class Package(msgspec.Struct, frozen=True, omit_defaults=True):
    """One package; the last four fields are for git."""

    name: str
    version: str | None = None
    url: str | None = None
    tag: str | None = None
    destdir: str | None = None
    build_commands: str | None = None


class Group(msgspec.Struct, frozen=True):
    """Packages that one call of a manager installs; `index` names its log file."""

    manager: str
    index: int
    packages: tuple[Package, ...]


class Plan(msgspec.Struct, frozen=True):
    """All there is to install, and what the log says was left out."""

    bundles: tuple[Bundle, ...] = ()
    groups: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()


def plan(
    bundled_depends: Iterable[Mapping[str, Any]],
    exec_depends: Iterable[Mapping[str, Any]],
    *,
    function: str,
) -> Plan:
    """Return what to install for an entry point; raises JobFailure for an entry that is wrong."""
    notes: list[str] = []
    bundles = _bundles(_wanted(bundled_depends, function, notes), notes)
    groups: list[Group] = []
    for entry in _wanted(exec_depends, function, notes):
        manager = _manager(entry)
        if manager == "apt" and entry["name"] in NEVER_INSTALLED_BY_APT:
            continue
        package = _package(entry, manager)
        if groups and groups[-1].manager == manager and manager in GROUPED_MANAGERS:
            groups[-1] = msgspec.structs.replace(
                groups[-1], packages=(*groups[-1].packages, package)
            )
        else:
            groups.append(Group(manager, len(bundles) + len(groups), (package,)))
    return Plan(tuple(bundles), tuple(groups), tuple(notes))


def _wanted(
    entries: Iterable[Mapping[str, Any]], function: str, notes: list[str]
) -> list[Mapping[str, Any]]:
    """Return the entries for the entry point, each with a name."""
    wanted = []
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise _failure(f"a dependency has no name: {dict(entry)}")
        if "stages" in entry and function not in entry["stages"]:
            notes.append(
                f"Skipping dependency {name} because it is inactive in stage (function) {function}"
            )
        else:
            wanted.append(entry)
    return wanted


def _bundles(entries: list[Mapping[str, Any]], notes: list[str]) -> list[Bundle]:
    bundles = []
    for entry in entries:
        file_id = _linked(entry.get("id"))
        if ids.is_id(file_id, "file"):
            bundles.append(Bundle(_plain_name(entry["name"]), file_id))
        else:
            notes.append(
                f'Skipping bundled dependency "{entry["name"]}" because it does not refer to a file'
            )
    return bundles


def _linked(link: Any) -> str:
    """Return the id in a link of either form, or "" if there is none."""
    if isinstance(link, Mapping):
        link = link.get("$dnanexus_link")
    if isinstance(link, Mapping):
        link = link.get("id")
    return link if isinstance(link, str) else ""


def _plain_name(name: str) -> str:
    if "/" in name or "\0" in name or name in {".", ".."}:
        raise _failure(f"the bundled dependency {name!r} has no plain file name")
    return name


def _manager(entry: Mapping[str, Any]) -> str:
    manager = entry.get("package_manager", "apt")
    if manager not in MANAGERS:
        known = ", ".join(sorted(MANAGERS))
        raise _failure(
            f"the package manager {manager!r} of {entry['name']!r} is not one of {known}"
        )
    return str(manager)


def _package(entry: Mapping[str, Any], manager: str) -> Package:
    """Return the package; what would be read as an option by its manager is refused."""
    package = Package(
        **{
            field: str(entry[field])
            for field in Package.__struct_fields__
            if entry.get(field) is not None
        }
    )
    if manager == "git":
        if package.url is None:
            raise _failure(f"the git dependency {package.name!r} has no url")
        as_arguments = (package.url, package.tag, package.destdir)
    else:
        as_arguments = (package.name, None, None)
    for argument in as_arguments:
        if argument is not None and (argument.startswith("-") or "\0" in argument):
            raise _failure(f"{argument!r} is no name that {manager} could install")
    return package


def _failure(problem: str) -> failures.JobFailure:
    return failures.JobFailure(
        failures.EXECUTION_ERROR,
        f"DXExecDependencyError: {problem}; correct runSpec of the executable",
    )
