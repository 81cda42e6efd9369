"""Read a dxapp.json: find all that is wrong with it, and make of it what `/applet/new` takes.

It follows `dx build`: the same things are wrong, and the body is the same, region by region. Where
`dx build` refuses what the applet can live without (a release, a region that is ours) this warns.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from plasmid.domain import errors, io_spec, keys, properties, run_spec

FILE_NAME: Final = "dxapp.json"
DEFAULT_REGION: Final = "aws:us-east-1"
DEFAULT_DISTRIBUTION: Final = "Ubuntu"
DEFAULT_RELEASE: Final = "24.04"
DEFAULT_DXAPI: Final = "1.0.0"
EXCERPT_WIDTH: Final = 76

_FIELD_KEYS: Final = (
    *("name", "class", "label", "help", "group", "optional"),
    *("default", "choices", "suggestions", "patterns", "type"),
)
# Where the applet goes is the caller's to say; regions have been dealt with.
_LEFT_OUT: Final = ("project", "folder", "regionalOptions", "systemRequirements")

Exists = Callable[[str], bool]


class Dxapp(msgspec.Struct, frozen=True, kw_only=True):
    """What a right dxapp.json asks for.

    `body` is for `/applet/new` and lacks project, folder and, if `code_file` (relative to the
    dxapp.json) is set, `runSpec.code`: `body_with_code` puts it in. `asset_depends` are the assets
    that `dx build` would look up on the platform.
    """

    name: str
    body: dict[str, Any]
    code_file: str | None
    asset_depends: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


class Findings(msgspec.Struct, frozen=True):
    """What is wrong with a dxapp.json, and what only looks wrong; one line each."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def parse(text: str, *, path: str = FILE_NAME) -> dict[str, Any]:
    """Return the JSON object of a dxapp.json.

    Raises InvalidInput: its first line says what is wrong at which line and column, the next
    lines show the place.
    """
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = f"{path}: line {error.lineno}, column {error.colno}: {error.msg}"
        excerpt = _excerpt(text, error.lineno, error.colno)
        raise errors.InvalidInput(f"{message}\n{excerpt}") from error
    except ValueError as error:
        raise errors.InvalidInput(f"{path}: {error}") from error
    except RecursionError as error:
        raise errors.InvalidInput(f"{path} is nested too deep") from error
    return keys.hash_itself(document, path)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f'the key "{twice}" stands twice in the same object: remove one of them'
        raise ValueError(message)
    return found


def _no_constant(name: str) -> Any:
    message = f"{name} is no JSON value"
    raise ValueError(message)


def _excerpt(text: str, line: int, column: int) -> str:
    """Return the line of an error with a caret under the column, cut to a readable width."""
    lines = text.split("\n")
    shown = lines[line - 1].replace("\t", " ").rstrip("\r") if line <= len(lines) else ""
    start = max(0, column - EXCERPT_WIDTH // 2)
    label = f"{line:>5} | "
    under = " " * (len(label) - 2) + "| " + " " * (column - 1 - start) + "^"
    return f"{label}{shown[start : start + EXCERPT_WIDTH]}\n{under}"


def read(
    text: str,
    *,
    exists: Exists,
    path: str = FILE_NAME,
    default_name: str = "applet",
    region: str | None = None,
) -> Dxapp:
    """Return what a dxapp.json asks for; raises InvalidInput with its first error.

    `exists` says whether a path relative to the dxapp.json is a file. With no region asked for,
    the default one is taken, else the first that the file knows.
    """
    document = parse(text, path=path)
    found = _examine(document, exists, region)
    if found.errors:
        more = f" (and {len(found.errors) - 1} more)" if len(found.errors) > 1 else ""
        raise errors.InvalidInput(f"{path}: {found.errors[0]}{more}")
    spec = _run_spec_for(document, region)
    code_file = spec.pop("file", None)
    assets = tuple(spec.pop("assetDepends", None) or ())
    name = document.get("name") or default_name
    kept = {key: value for key, value in document.items() if key not in _LEFT_OUT}
    body = {"dxapi": DEFAULT_DXAPI, **kept, "name": name, "runSpec": spec}
    return Dxapp(
        name=name,
        body=body,
        code_file=code_file,
        asset_depends=assets,
        warnings=found.warnings,
    )


def body_with_code(dxapp: Dxapp, code: str) -> dict[str, Any]:
    """Return the body for `/applet/new` with the text of `code_file` in its place."""
    return {**dxapp.body, "runSpec": {**dxapp.body["runSpec"], "code": code}}


def lint(
    text: str, *, exists: Exists, path: str = FILE_NAME, region: str | None = None
) -> Findings:
    """Return all that is wrong with a dxapp.json; what is no JSON has one error."""
    try:
        document = parse(text, path=path)
    except errors.InvalidInput as error:
        return Findings((error.message,), ())
    return _examine(document, exists, region)


def _examine(document: dict[str, Any], exists: Exists, region: str | None) -> Findings:
    """Return everything that is wrong, as far as one fault does not hide another."""
    checks: list[Callable[[], object]] = [
        lambda: keys.check_depth(document, FILE_NAME),
        lambda: _check_name(document),
        lambda: io_spec.check_spec(document.get("inputSpec"), where="inputSpec"),
        lambda: io_spec.check_spec(document.get("outputSpec"), where="outputSpec"),
        lambda: run_spec.check_access(document.get("access")),
        lambda: _check_regions(document, region),
    ]
    wrong = _failures(checks)
    if not isinstance(document.get("runSpec"), dict):
        wrong += _failures([lambda: run_spec.check_run_spec(document.get("runSpec"))])
        return Findings(tuple(wrong), tuple(_warnings(document, region)))
    if not _failures([lambda: _check_regions(document, region)]):
        spec = _run_spec_for(document, region)
        wrong += _failures(
            [
                lambda: _check_code(spec, exists),
                lambda: run_spec.check_run_spec({**spec, "code": ""}),
                lambda: keys.hashes(spec, "assetDepends", "runSpec"),
                lambda: _check_packages(spec, document),
            ]
        )
    return Findings(tuple(wrong), tuple(_warnings(document, region)))


def _failures(checks: Iterable[Callable[[], object]]) -> list[str]:
    messages = []
    for check in checks:
        try:
            check()
        except errors.InvalidInput as error:
            messages.append(error.message)
    return messages


def _check_name(document: dict[str, Any]) -> None:
    if document.get("name") is not None:
        properties.check_name(document["name"], where=FILE_NAME)


def _check_code(spec: dict[str, Any], exists: Exists) -> None:
    code_file = keys.string(spec, "file", "runSpec")
    if code_file is None and keys.string(spec, "code", "runSpec") is None:
        message = 'Expected runSpec to have property "file", the path of the program'
        raise errors.InvalidInput(message)
    if code_file is not None and not exists(code_file):
        message = f'The file "{code_file}" that runSpec.file names does not exist'
        raise errors.InvalidInput(message)


def _check_packages(spec: dict[str, Any], document: dict[str, Any]) -> None:
    """Refuse packages that cannot be installed because the job would have no network."""
    asked = document.get("access") or {}
    if isinstance(asked, dict) and asked.get("network"):
        return
    packages = spec.get("execDepends")
    for package in packages if isinstance(packages, list) else []:
        manager = package.get("package_manager") or "apt" if isinstance(package, dict) else "apt"
        if manager != "apt":
            reason = f'"{package.get("name")}" of runSpec.execDepends comes from {manager}'
            remedy = 'add "access": {"network": ["*"]}'
            raise errors.InvalidInput(f"{reason}, which needs the network: {remedy}")


def _check_regions(document: dict[str, Any], region: str | None) -> None:
    options = keys.hash_of(document, "regionalOptions", FILE_NAME)
    for name in options or {}:
        given = keys.hash_of(options or {}, name, "regionalOptions") or {}
        where = f"regionalOptions.{name}"
        for key in ("bundledDepends", "assetDepends"):
            keys.array(given, key, where)
        keys.hash_of(given, "systemRequirements", where)
    if options and region is not None and region not in options:
        known = f"which has {', '.join(options)}"
        message = f'Expected regionalOptions to have the region "{region}", {known}'
        raise errors.InvalidInput(message)


def _region_for(document: dict[str, Any], region: str | None) -> str | None:
    """Return the region whose options count, or None if there are none."""
    options = document.get("regionalOptions") or {}
    wanted = region or DEFAULT_REGION
    return wanted if wanted in options else next(iter(options), None)


def _run_spec_for(document: dict[str, Any], region: str | None) -> dict[str, Any]:
    """Return the runSpec with what the region adds, and what older files say at the top."""
    chosen = _region_for(document, region)
    options = (document.get("regionalOptions") or {}).get(chosen) or {}
    spec = {"distribution": DEFAULT_DISTRIBUTION, "release": DEFAULT_RELEASE, **document["runSpec"]}
    if "release" not in document["runSpec"]:
        spec.setdefault("version", "0")
    for source in (options, document):
        if source.get("systemRequirements") is not None:
            older = spec.get("systemRequirements") if source is document else None
            spec["systemRequirements"] = older or source["systemRequirements"]
    for key in ("bundledDepends", "assetDepends"):
        own = spec.get(key) or []
        if options.get(key) and isinstance(own, list):
            spec[key] = [*own, *options[key]]
    return spec


def _warnings(document: dict[str, Any], region: str | None) -> list[str]:
    warnings = []
    if document.get("name") is None:
        warnings.append('there is no "name": the folder\'s name is taken')
    for key in ("inputSpec", "outputSpec"):
        if document.get(key) is None:
            warnings.append(f'there is no "{key}": its fields are not checked')
        warnings += _unknown_keys(document.get(key), key)
    spec = document.get("runSpec")
    if isinstance(spec, dict):
        defaults = {"distribution": DEFAULT_DISTRIBUTION, "release": DEFAULT_RELEASE}
        warnings += [
            f'runSpec has no "{key}": {default} is taken, but dx build refuses this'
            for key, default in defaults.items()
            if key not in spec
        ]
    options = document.get("regionalOptions")
    if isinstance(options, dict) and options and (region or DEFAULT_REGION) not in options:
        chosen = _region_for(document, region)
        warnings.append(f"regionalOptions has no {DEFAULT_REGION}: those of {chosen} are taken")
    return warnings


def _unknown_keys(spec: object, where: str) -> list[str]:
    """Return a line for each key of a field that means nothing, with what may be meant."""
    warnings = []
    for index, field in enumerate(spec if isinstance(spec, list) else []):
        for key in field if isinstance(field, dict) else {}:
            if key not in _FIELD_KEYS:
                alike = difflib.get_close_matches(key.lower(), _FIELD_KEYS, n=1)
                hint = f': is "{alike[0]}" meant?' if alike else ""
                warnings.append(f'{where}[{index}] has the unknown key "{key}"{hint}')
    return warnings
