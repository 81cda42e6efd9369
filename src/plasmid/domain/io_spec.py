"""Input and output specifications: check one, check values against one (contract E.1, F.7.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmid.domain import conditions, errors, failures, ids, keys, links, metadata_defaults

PLAIN_CLASSES: Final = ("int", "float", "string", "boolean", "hash")
DATA_CLASSES: Final = tuple(sorted(ids.DATA_OBJECT_CLASSES))
ARRAY: Final = "array:"
CLASSES: Final = (
    *PLAIN_CLASSES,
    *DATA_CLASSES,
    *(f"{ARRAY}{name}" for name in (*PLAIN_CLASSES, *DATA_CLASSES) if name != "hash"),
)
NAME_PATTERN: Final = "^[a-zA-Z_][0-9a-zA-Z_]*$"
INTEGER_MAX: Final = 2**63 - 1

_NAME: Final = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"), re.ASCII)
_WORDS: Final = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "boolean": "a boolean",
    "hash": "a hash",
    **{name: f"a link to {'an' if name[0] == 'a' else 'a'} {name}" for name in DATA_CLASSES},
}

ObjectClass = Callable[[str], str | None]


class FieldClass(msgspec.Struct, frozen=True):
    """The class of a field: what one value is, and whether the field is an array of them."""

    base: str
    is_array: bool

    @property
    def words(self) -> str:
        """What an error message calls it."""
        return f"an array, each element {_WORDS[self.base]}" if self.is_array else _WORDS[self.base]


class _Place(msgspec.Struct, frozen=True):
    """Where a value is, for messages, and who knows the class of an object."""

    key: str
    where: str
    object_class: ObjectClass

    def refusal(self, expected: str) -> errors.InvalidInput:
        return keys.refusal(self.key, self.where, expected)

    def at(self, index: int) -> _Place:
        return _Place(f"{self.key}[{index}]", self.where, self.object_class)


def field_class(name: str) -> FieldClass:
    """Return what a class's name means."""
    return FieldClass(name.removeprefix(ARRAY), name.startswith(ARRAY))


def check_spec(spec: object, *, where: str) -> list[dict[str, Any]] | None:
    """Return a specification that is right; None (absent) is, too.

    `where` is inputSpec or outputSpec. Raises InvalidInput that names the field by its index.
    """
    if spec is None:
        return None
    if not isinstance(spec, list):
        raise keys.refusal(where, "input", "an array of hashes")
    places: dict[str, int] = {}
    for index, field in enumerate(spec):
        name = _check_field(field, f"{where}[{index}]")
        if name in places:
            other = f"{where}[{places[name]}]"
            raise keys.refusal(
                "name", f"{where}[{index}]", f'unique, but {other} is also called "{name}"'
            )
        places[name] = index
    return spec


def _check_field(field: object, where: str) -> str:
    body = keys.hash_itself(field, where)
    name = keys.require(body, "name", where)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise keys.refusal("name", where, f"a string that matches {NAME_PATTERN}, got {name!r}")
    keys.require(body, "class", where)
    wanted = field_class(keys.one_of(body, "class", CLASSES, where) or "")
    keys.boolean(body, "optional", where)
    for text in ("label", "help", "group"):
        keys.string(body, text, where)
    keys.array(body, "suggestions", where)
    _check_patterns(body, where)
    if wanted.base in DATA_CLASSES:
        conditions.read_words(body.get("type"), "type", where)
    _check_choices(body, wanted, where)
    _check_default(body, wanted, where)
    return name


def _check_patterns(body: dict[str, Any], where: str) -> None:
    patterns = body.get("patterns")
    if isinstance(patterns, dict):
        keys.strings(patterns, "name", f"{where}.patterns")
    else:
        keys.strings(body, "patterns", where)


def _check_choices(body: dict[str, Any], wanted: FieldClass, where: str) -> None:
    choices = keys.array(body, "choices", where)
    if choices is not None and wanted.base == "hash":
        raise keys.refusal("choices", where, "absent, because the class is hash")
    for index, choice in enumerate(_choice_values(body)):
        if not _is_path(choice):
            _single(choice, wanted.base, _Place(f"choices[{index}]", where, ids.class_of))


def _check_default(body: dict[str, Any], wanted: FieldClass, where: str) -> None:
    default = body.get("default")
    if default is not None and metadata_defaults.of(default) is None:
        place = _Place("default", where, ids.class_of)
        _check_chosen(_value(default, wanted, place), body, place)


def _choice_values(field: dict[str, Any]) -> list[Any]:
    """Return the values of a field's choices, which may be named (`{"name", "value"}`)."""
    return [
        choice["value"] if isinstance(choice, dict) and "value" in choice else choice
        for choice in field.get("choices") or []
    ]


def _is_path(choice: object) -> bool:
    """Say whether a choice names a file by its project and path, which only a person follows."""
    return isinstance(choice, dict) and links.LINK not in choice and "path" in choice


def check_values(
    spec: list[dict[str, Any]] | None,
    values: object,
    *,
    where: str = "input",
    object_class: ObjectClass = ids.class_of,
) -> dict[str, Any]:
    """Return the values for a run as its specification wants them, defaults put in.

    Arrays are flattened, 32.0 for an int becomes 32, a null is left out. References may stand
    anywhere; a default from another input's metadata stays as it is written, for whoever can read
    it. `object_class` gives the class of a linked object, None if there is no such object:
    then ResourceNotFound. Everything else that is wrong is InvalidInput. With no specification,
    only links are checked.
    """
    given = keys.hash_itself(values, where)
    keys.check_depth(given, where)
    _check_links(given, where, object_class)
    if spec is None:
        return given
    _check_known(given, spec, where)
    checked = {}
    present = _present(spec, given)
    for field in spec:
        name, default = field["name"], field.get("default")
        other = metadata_defaults.of(default)
        place = _Place(name, where, object_class)
        if given.get(name) is not None:
            checked[name] = _field_value(given[name], field, place)
        elif other is not None and other.input in present:
            checked[name] = default
        elif other is None and default is not None:
            checked[name] = _field_value(default, field, place)
        elif not field.get("optional"):
            keys.require(given, name, where)
    return checked


def _present(spec: list[dict[str, Any]], given: dict[str, Any]) -> set[str]:
    """Return the fields that have a value of their own, given or by a plain default."""
    plain = {
        field["name"]
        for field in spec
        if field.get("default") is not None and metadata_defaults.of(field["default"]) is None
    }
    return plain | {name for name, value in given.items() if value is not None}


def _check_links(values: dict[str, Any], where: str, object_class: ObjectClass) -> None:
    for name, value in values.items():
        broken = links.broken_reference(value)
        if broken is not None:
            form = 'a reference as {"$dnanexus_link": {"job": ID, "field": NAME, "index": NUMBER}}'
            raise keys.refusal(name, where, f"{form}, got {json.dumps(broken)}")
    for object_id in links.object_ids(values):
        if object_class(object_id) is None:
            raise errors.ResourceNotFound(f"The entity {object_id} could not be found")


def _check_known(given: dict[str, Any], spec: list[dict[str, Any]], where: str) -> None:
    names = [field["name"] for field in spec]
    side = "output" if where.startswith("output") else "input"
    for name in given:
        if name not in names:
            known = f"which has {', '.join(names)}" if names else "which has no field"
            raise keys.refusal(name, where, f"a field of the executable's {side}Spec, {known}")


def _field_value(value: Any, field: dict[str, Any], place: _Place) -> Any:
    checked = _value(value, field_class(field["class"]), place)
    _check_chosen(checked, field, place)
    return checked


def _value(value: Any, wanted: FieldClass, place: _Place) -> Any:
    """Return a field's value in its normal form; a reference stays as it is."""
    if links.reference_of(value) is not None:
        return value
    if not wanted.is_array:
        return _single(value, wanted.base, place)
    if not isinstance(value, list):
        raise place.refusal(wanted.words)
    elements = enumerate(links.flatten(value))
    return [_single(element, wanted.base, place.at(index)) for index, element in elements]


def _single(value: Any, base: str, place: _Place) -> Any:
    if links.reference_of(value) is not None:
        return value
    if base in DATA_CLASSES:
        return _linked(value, base, place)
    if base == "int" and keys.is_integer(value) and abs(value) <= INTEGER_MAX:
        return int(value)
    if base == "int" and keys.is_integer(value):
        raise place.refusal(f"in range [-{INTEGER_MAX}, {INTEGER_MAX}]")
    if base == "float" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    plain = {"string": str, "boolean": bool, "hash": dict}.get(base)
    if plain is None or not isinstance(value, plain):
        raise place.refusal(_WORDS[base])
    return value


def _linked(value: Any, base: str, place: _Place) -> Any:
    object_id = links.linked_id(value)
    if object_id is None:
        raise place.refusal(_WORDS[base])
    found = place.object_class(object_id)
    if found is None:
        raise errors.ResourceNotFound(f"The entity {object_id} could not be found")
    if found != base:
        raise place.refusal(f"{_WORDS[base]}, got {object_id}")
    return value


def _check_chosen(value: Any, field: dict[str, Any], place: _Place) -> None:
    """Refuse a value, or an element of an array, that is not among the field's choices."""
    if not field.get("choices"):
        return
    choices = [_comparable(choice) for choice in _choice_values(field)]
    for element in value if isinstance(value, list) else [value]:
        if links.reference_of(element) is None and _comparable(element) not in choices:
            raise place.refusal(keys.listed(choices))


def _comparable(value: Any) -> Any:
    return links.linked_id(value) or value


def check_resolved(
    spec: list[dict[str, Any]] | None,
    values: dict[str, Any],
    *,
    object_class: ObjectClass = ids.class_of,
) -> dict[str, Any]:
    """Return a waiting job's input, checked again once its references have been filled in.

    Raises JobFailure (InputError), because nobody is left to be answered.
    """
    try:
        return check_values(spec, values, object_class=object_class)
    except errors.ApiError as error:
        raise failures.JobFailure(failures.INPUT_ERROR, error.message) from error


def check_output(
    spec: list[dict[str, Any]] | None,
    output: object,
    *,
    object_class: ObjectClass = ids.class_of,
) -> dict[str, Any]:
    """Return a job's output as its specification wants it: arrays flattened, nulls left out.

    Raises JobFailure (OutputError) that names the field. With no specification, only links are
    checked. References to other jobs may stand anywhere.
    """
    fields = spec if spec is None else [{**field, "default": None} for field in spec]
    try:
        return check_values(fields, output, where="output", object_class=object_class)
    except errors.ApiError as error:
        raise failures.JobFailure(failures.OUTPUT_ERROR, error.message) from error
