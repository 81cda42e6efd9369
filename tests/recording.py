"""Bodies that remember which of their keys were looked at: what a method takes, as it really is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest

from plasmid.methods import decode, registry

# Stands in a path for each element of an array.
EACH: Final = "[]"
Path = tuple[str, ...]


class Body(dict[str, Any]):
    """A JSON object that notes every key that is asked for, there or not, by its path."""

    def __init__(self, content: Mapping[str, Any], read: set[Path], at: Path = ()) -> None:
        super().__init__({key: wrapped(value, read, (*at, key)) for key, value in content.items()})
        self._read = read
        self._at = at

    def note(self, key: object) -> None:
        """Keep that a key was asked for."""
        self._read.add((*self._at, str(key)))

    def get(self, key: object, default: Any = None) -> Any:
        self.note(key)
        return super().get(str(key), default)

    def pop(self, key: str, *default: Any) -> Any:
        self.note(key)
        return super().pop(key, *default)

    def __getitem__(self, key: str) -> Any:
        self.note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.note(key)
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        # because this is here, `{**body}` and `dict(body)` go through __getitem__
        return super().__iter__()

    def items(self) -> Any:
        for key in super().__iter__():
            self.note(key)
        return super().items()

    def __or__(self, other: Mapping[str, Any]) -> Any:  # type: ignore[override]
        return Body({**self, **other}, self._read, self._at)


def wrapped(value: Any, read: set[Path], at: Path) -> Any:
    """Return a JSON value whose objects note what is asked of them."""
    if isinstance(value, dict):
        return Body(value, read, at)
    if isinstance(value, list):
        return [wrapped(item, read, (*at, EACH)) for item in value]
    return value


class Recorder:
    """Which keys of the body the calls have read, by route; raw bodies have none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_route: dict[str, set[Path]] = {}
        self._route = ""
        resolve, decoded, convert = registry.resolve, decode.decode, decode.convert

        def noted_resolve(path: str) -> Any:
            found = resolve(path)
            self._route = found[0].route
            return found

        def noted_decode(body: bytes, struct: Any) -> Any:
            read = self.by_route.setdefault(self._route, set())
            if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
                read |= {(field.encode_name,) for field in msgspec.structs.fields(struct)}
            value = decoded(body, struct)
            return Body(value, read) if isinstance(value, dict) and struct is not Any else value

        def noted_convert(value: Any, struct: Any) -> Any:
            if isinstance(value, Body):
                for field in msgspec.structs.fields(struct):
                    value.note(field.encode_name)
                value = dict(value)
            return convert(value, struct)

        monkeypatch.setattr(registry, "resolve", noted_resolve)
        monkeypatch.setattr(decode, "decode", noted_decode)
        monkeypatch.setattr(decode, "convert", noted_convert)
