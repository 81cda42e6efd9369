"""When a job may be given the outputs of an earlier one, and what tells two jobs apart (F.11).

Two jobs are equal if they run `main` of the same executable (of an app: the same version) in the
same region on the same input, once everything that the input refers to is known. What a job is
called, where its outputs go and which machine it gets make no difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from plasmid.domain import links

SETTING: Final = "reuse"
"""The setting of a job that says what the site's configuration was when it was launched."""
SOURCE: Final = "outputReusedFrom"
NOTE: Final = "reuseNote"
PROPERTY: Final = "plasmid.reuse"
"""The property by which a run, a workflow's run or a project asks for reuse, or refuses it."""
POLICY: Final = "jobReuse"
IGNORE: Final = "ignoreReuse"
_NAMED_MAX: Final = 3
_SHOWN_MAX: Final = 60
_ANSWERS: Final = {"true": True, "false": False}


def key(executable: str, region: str, values: Mapping[str, Any]) -> str:
    """Return what is the same for equal jobs; `values` is an input without references."""
    same = [executable, region, links.strip_projects(dict(values))]
    text = json.dumps(same, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def asked(properties: Mapping[str, str]) -> bool | None:
    """Return what properties say about reuse; None if nothing, or neither true nor false."""
    return _ANSWERS.get(properties.get(PROPERTY, "").lower())


def differences(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Return in words which fields of two inputs differ, by name."""
    new, old = links.strip_projects(dict(new)), links.strip_projects(dict(old))
    found = []
    for name in sorted({*new, *old}):
        if name not in old:
            found.append(f'input "{name}" is {_shown(new[name])}, was not given')
        elif name not in new:
            found.append(f'input "{name}" is not given, was {_shown(old[name])}')
        elif _told_apart(new[name]) != _told_apart(old[name]):
            found.append(_difference(f'input "{name}"', new[name], old[name]))
    return found


def named(found: list[str]) -> str:
    """Return differences as the part of a line that names the first of them."""
    left = len(found) - _NAMED_MAX
    more = f"; and {left} more" if left > 0 else ""
    return "; ".join(found[:_NAMED_MAX]) + more


def _told_apart(value: object) -> str:
    """Return what two values have in common only if they are the same: 1 is not 1.0, nor true."""
    return json.dumps(value, sort_keys=True)


def _difference(what: str, new: object, old: object) -> str:
    if isinstance(new, list) and isinstance(old, list):
        if len(new) != len(old):
            return f"{what} has {len(new)} elements, had {len(old)}"
        pairs = enumerate(zip(new, old, strict=True))
        at, (new, old) = next(
            (at, pair) for at, pair in pairs if _told_apart(pair[0]) != _told_apart(pair[1])
        )
        what = f"{what}[{at}]"
    return f"{what} is {_shown(new)}, was {_shown(old)}"


def _shown(value: object) -> str:
    text = links.linked_id(value) or json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
