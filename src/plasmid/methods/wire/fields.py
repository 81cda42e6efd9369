"""Which fields of a describe are wanted (contract D.1.2, F.6.1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from plasmid.domain import errors


def selected(
    options: Mapping[str, Any], defaults: Collection[str], on_request: Collection[str] = ()
) -> set[str]:
    """Return the names asked for.

    `fields` names exactly the wanted ones; with `defaultFields` it adds to (or, with false, takes
    from) the defaults. Old flags such as `{"properties": true}` (also "true") add to the defaults.
    """
    fields = options.get("fields")
    if fields is None:
        names = set(defaults)
        names.update(name for name in on_request if options.get(name) in (True, "true"))
        return names
    if not isinstance(fields, dict):
        raise errors.InvalidInput('Expected key "fields" of input to be a hash')
    names = {name for name, is_wanted in fields.items() if is_wanted in (True, "true")}
    if options.get("defaultFields"):
        names |= set(defaults) - {name for name, is_wanted in fields.items() if not is_wanted}
    return names


def options_of(value: Any) -> Mapping[str, Any] | None:
    """Return the describe options in a find's or list's `describe`; None if it asks for none."""
    if value is None or value is False:
        return None
    if value is True:
        return {}
    if isinstance(value, dict):
        return value
    raise errors.InvalidInput('Expected key "describe" of input to be a boolean or a hash')
