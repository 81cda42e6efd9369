"""Inputs from the command line: NAME=VALUE by the inputSpec, files as local paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.cli.trouble import CommandError
from plasmid.domain import errors, io_spec, links

_BOOLEANS: Final = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
_PLACEHOLDER: Final = "file-" + "0" * 24


class LocalFile(msgspec.Struct, frozen=True):
    """A file of this machine that is an input."""

    path: Path


def read(
    spec: list[dict[str, Any]] | None, given: Sequence[str], input_json: Path | None
) -> dict[str, Any]:
    """Return the inputs by name, with LocalFile for files; raises CommandError naming the input."""
    fields = {field["name"]: field for field in spec or ()}
    values: dict[str, Any] = {}
    for name, value in _from_json(input_json).items():
        values[name] = _from_json_value(name, value, _class_of(name, fields, spec))
    repeated: dict[str, list[str]] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name:
            raise CommandError(f"-i{text}: write an input as -iNAME=VALUE", 2)
        repeated.setdefault(name, []).append(value)
    for name, texts in repeated.items():
        values[name] = _from_texts(name, texts, _class_of(name, fields, spec))
    _check(spec, values)
    return values


def _class_of(
    name: str, fields: dict[str, dict[str, Any]], spec: list[dict[str, Any]] | None
) -> str | None:
    if spec is None:
        return None
    if name not in fields:
        known = ", ".join(fields) or "none"
        raise CommandError(f'there is no input "{name}"; the inputs of this applet are: {known}', 2)
    return str(fields[name]["class"])


def _from_json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise CommandError(f"--input-json: {path} cannot be read: {error.strerror}", 2) from error
    except msgspec.DecodeError as error:
        raise CommandError(f"--input-json: {path} is not valid JSON: {error}", 2) from error
    if not isinstance(value, dict):
        raise CommandError(f"--input-json: {path} must hold a JSON object of inputs", 2)
    return value


def _from_json_value(name: str, value: Any, class_name: str | None) -> Any:
    if class_name == "file" and isinstance(value, str):
        return _file(name, value)
    if class_name == "array:file" and isinstance(value, list):
        return [_file(name, item) if isinstance(item, str) else item for item in value]
    return value


def _from_texts(name: str, texts: list[str], class_name: str | None) -> Any:
    if class_name is None:
        guessed = [_guess(text) for text in texts]
        return guessed if len(guessed) > 1 else guessed[0]
    base = class_name.removeprefix(io_spec.ARRAY)
    if class_name != base:
        return [_single(name, text, base) for text in texts]
    if len(texts) > 1:
        raise CommandError(f'input "{name}" is of class {class_name}: give it once', 2)
    return _single(name, texts[0], base)


def _single(name: str, text: str, base: str) -> Any:
    if base == "string":
        return text
    if base == "file":
        return _file(name, text)
    if base == "boolean":
        if text.lower() not in _BOOLEANS:
            raise CommandError(f'input "{name}" must be true or false, not "{text}"', 2)
        return _BOOLEANS[text.lower()]
    try:
        if base == "int":
            return int(text)
        return float(text) if base == "float" else msgspec.json.decode(text)
    except (ValueError, msgspec.DecodeError) as error:
        wanted = {"int": "an integer", "float": "a number"}.get(base, "JSON")
        raise CommandError(f'input "{name}" must be {wanted}, not "{text}"', 2) from error


def _guess(text: str) -> Any:
    """Return a value for an applet without inputSpec: a file if it is one, else JSON, else text."""
    if Path(text).is_file():
        return LocalFile(Path(text))
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _file(name: str, text: str) -> LocalFile:
    path = Path(text)
    if path.is_dir():
        raise CommandError(f'input "{name}": {path} is a folder; name a file', 2)
    if not path.is_file():
        raise CommandError(f'input "{name}": there is no file {path}', 2)
    return LocalFile(path)


def files(values: Any) -> list[LocalFile]:
    """Return the local files in values, once each."""
    if isinstance(values, LocalFile):
        return [values]
    inner = values.values() if isinstance(values, dict) else values
    found = []
    if isinstance(values, (dict, list)):
        for value in inner:
            found += files(value)
    return list(dict.fromkeys(found))


def with_links(values: Any, ids: dict[LocalFile, str]) -> Any:
    """Return values with each local file replaced by the link to its copy on the platform."""
    if isinstance(values, LocalFile):
        return links.link(ids[values])
    if isinstance(values, dict):
        return {name: with_links(value, ids) for name, value in values.items()}
    if isinstance(values, list):
        return [with_links(value, ids) for value in values]
    return values


def _check(spec: list[dict[str, Any]] | None, values: dict[str, Any]) -> None:
    """Refuse missing and wrong values before anything is started."""
    for field in spec or ():
        name, is_needed = field["name"], not field.get("optional") and "default" not in field
        if is_needed and values.get(name) is None:
            raise CommandError(
                f'input "{name}" ({field["class"]}) is missing; give it as -i{name}=VALUE', 2
            )
    stand_ins = dict.fromkeys(files(values), _PLACEHOLDER)
    try:
        io_spec.check_values(spec, with_links(values, stand_ins))
    except errors.ApiError as error:
        raise CommandError(error.message, 2) from error
