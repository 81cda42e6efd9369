"""The bash variables of a job's input, equal to what `dx-print-bash-vars` prints (contract I.5).

A file input `reads` becomes four arrays: `reads` (the link), `reads_name`, `reads_prefix` and
`reads_path`; everything else becomes one variable. They are computed outside of the sandbox, so
that starting a bash job starts no Python.
"""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from plasmid.domain import ids

LENGTH_TO_WARN_ABOUT: Final = 16 * 1024

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BashVariables(msgspec.Struct, frozen=True):
    """The variables in the order of their definition, values ready to stand after `=`."""

    definitions: dict[str, str]
    collisions: tuple[str, ...]


class _FileEntry(msgspec.Struct, frozen=True):
    """One file of an input field."""

    link: str
    name: str
    prefix: str
    path: str


class _Place(msgspec.Struct, frozen=True):
    """Where a field's files go, and which ends their names lose in `_prefix`."""

    folder: str
    patterns: list[str]


def compute(
    input: Mapping[str, Any],
    input_files: Mapping[str, str],
    *,
    input_spec: Collection[Mapping[str, Any]] = (),
    home: str = "/home/dnanexus",
    taken: Collection[str] = (),
) -> BashVariables:
    """Return the variables of an input.

    `input_files` gives the name of each file id; `input_spec` supplies the patterns that shorten
    `_prefix` (pass it for the function `main` only); names in `taken` are not set but reported as
    collisions. Raises ValueError for a file whose name no folder can hold.
    """
    patterns = _patterns_of(input_spec)
    files: dict[str, list[_FileEntry]] = {}
    for key, value in input.items():
        place = _Place(folder=f"{home}/in/{key}", patterns=patterns.get(key, []))
        entries = _file_entries(value, place, input_files)
        if entries:
            files[key] = entries
    definitions: dict[str, str] = {}
    collisions = []
    # Plain values come first, so that in a collision the derived file variables give way.
    wanted = [(key, _value(value)) for key, value in input.items() if key not in files]
    for key, entries in files.items():
        wanted += [
            (key, _array(entry.link for entry in entries)),
            (f"{key}_name", _array(entry.name for entry in entries)),
            (f"{key}_prefix", _array(entry.prefix for entry in entries)),
            (f"{key}_path", _array(entry.path for entry in entries)),
        ]
    for key, text in wanted:
        if key in taken or key in definitions:
            collisions.append(key)
        else:
            definitions[key] = text
    return BashVariables(definitions, tuple(collisions))


def render(variables: BashVariables) -> str:
    """Return the shell code that defines the variables, for `.bash_helper_vars`.

    Input fields that are no shell names cannot be variables; a line on stderr says so.
    """
    lines = [
        _to_stderr(f"Creating environment variable ({key}) would cause a name collision")
        for key in variables.collisions
    ]
    for key, value in variables.definitions.items():
        if not _IDENTIFIER.fullmatch(key):
            lines.append(
                _to_stderr(f"Input field {key} is no shell name: read it from job_input.json")
            )
            continue
        if len(value) >= LENGTH_TO_WARN_ABOUT:
            lines.append(f'echo "warning: variable {key} is long ({len(value)} bytes)"')
        lines.append(f"export {key}={value}")
    return "".join(f"{line}\n" for line in lines)


def _to_stderr(message: str) -> str:
    return f"echo {shlex.quote(message)} >&2"


def _patterns_of(input_spec: Collection[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the usable patterns of each field: those with a `*`."""
    patterns = {}
    for field in input_spec:
        listed = field.get("patterns")
        if isinstance(listed, list):
            patterns[str(field.get("name"))] = [
                pattern for pattern in listed if isinstance(pattern, str) and "*" in pattern
            ]
    return patterns


def _file_entries(value: Any, place: _Place, input_files: Mapping[str, str]) -> list[_FileEntry]:
    """Return the files of one field; none if it holds no link to a file."""
    if not isinstance(value, list):
        return _entries_of_link(value, place, input_files)
    digits = len(str(len(value) - 1))
    entries = []
    for index, item in enumerate(value):
        inner = _Place(folder=f"{place.folder}/{index:0{digits}}", patterns=place.patterns)
        entries += _entries_of_link(item, inner, input_files)
    return entries


def _entries_of_link(value: Any, place: _Place, input_files: Mapping[str, str]) -> list[_FileEntry]:
    file_id = _linked_file(value)
    if file_id is None:
        return []
    # A file that the platform did not name is not readable by the job; its id stands in for it.
    name = _file_name(input_files.get(file_id, file_id))
    return [
        _FileEntry(
            link=json.dumps({"$dnanexus_link": file_id}),
            name=name,
            prefix=_prefix(name, place.patterns),
            path=f"{place.folder}/{name}",
        )
    ]


def _linked_file(value: Any) -> str | None:
    """Return the file id that a value links to, if it is a link to a file."""
    if not isinstance(value, dict):
        return None
    link = value.get("$dnanexus_link")
    if isinstance(link, dict):
        link = link.get("id")
    return link if isinstance(link, str) and ids.is_id(link, "file") else None


def _file_name(name: str) -> str:
    if name in {".", ".."}:
        raise ValueError(f"An input file is named {name!r}, which no folder can hold: rename it")
    return name.replace("/", "%2F")


def _prefix(name: str, patterns: list[str]) -> str:
    """Return the name without the end that a pattern names, else without its extension."""
    found = [
        # A pattern that ends in `*` leaves nothing, as the client's own arithmetic has it.
        name[: -len(pattern.rpartition("*")[2])] if not pattern.endswith("*") else ""
        for pattern in patterns
        if fnmatch.fnmatchcase(name, pattern)
    ]
    if found:
        return min(found, key=len)
    stem, extension = posixpath.splitext(name)
    return posixpath.splitext(stem)[0] if extension == ".gz" else stem


def _value(value: Any) -> str:
    return _array(_text(item) for item in value) if isinstance(value, list) else _quoted(value)


def _array(texts: Iterable[str]) -> str:
    return f"( {' '.join(shlex.quote(text) for text in texts)} )"


def _quoted(value: Any) -> str:
    return shlex.quote(_text(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
