"""What each stage of a workflow gets in a run: its links within the workflow resolved (E.6).

The executions of all stages have their ids before any is made, so a link to the output of a stage
becomes a reference to the output of its execution; a link to an input becomes that input's value.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from plasmid.domain import errors, keys, links, stage_links
from plasmid.domain.links import JobReference
from plasmid.domain.stage_links import InputLink, StageLink

Values = dict[str, Any]
# How many inputs may be linked in a row, each to the next: they are followed by recursion.
LINKS_MAX: Final = 100
_ABSENT: Final = object()


class Resolver:
    """Resolves the links of one run.

    `bound` are the values of the stages' fields, `executions` what runs for the stages, both by the
    id of the stage; `fields` are the values of the workflow's own inputs. In the place of links may
    come `values_max` values; `left` is how many of these still may.
    """

    def __init__(
        self,
        bound: Mapping[str, Values],
        executions: Mapping[str, str],
        fields: Values,
        *,
        values_max: int = links.VALUES_MAX,
    ) -> None:
        self.left = values_max
        self._bound = bound
        self._executions = executions
        self._fields = fields
        self._known: dict[tuple[str, str], Any] = {}
        self._open: list[tuple[str, str]] = []

    def stage(self, stage: str) -> Values:
        """Return the values of a stage; a field whose source has no value is left out.

        Raises InvalidInput for links in a loop and for what a link cannot mean.
        """
        found = {field: self._field(stage, field) for field in self._bound[stage]}
        return {field: value for field, value in found.items() if value is not _ABSENT}

    def value(self, value: Any) -> Any:
        """Return a value with all links resolved; None if it is a link to what has no value."""
        resolved = self._resolved(value)
        return None if resolved is _ABSENT else resolved

    def _field(self, stage: str, field: str) -> Any:
        key = (stage, field)
        if key in self._known:
            return self._known[key]
        if key in self._open:
            raise errors.InvalidInput(
                f'The inputs of the stages are linked in a loop, in which "{stage}.{field}" is'
            )
        if len(self._open) >= LINKS_MAX:
            raise errors.InvalidInput(
                f'"{stage}.{field}" is linked through more than {LINKS_MAX} inputs of other stages'
            )
        self._open.append(key)
        value = self._bound.get(stage, {}).get(field)
        for link in stage_links.found(value):  # before it is walked by recursion itself
            if isinstance(link, StageLink) and not link.is_output:
                self._field(link.stage, link.field)
        resolved = _ABSENT if value is None else self._resolved(value)
        keys.check_depth(resolved, f'"{stage}.{field}", with what it is linked to,')
        self._known[key] = resolved
        self._open.pop()
        return self._known[key]

    def _resolved(self, value: Any) -> Any:
        link = stage_links.link_of(value)
        if link is not None:
            return self._linked(link)
        return stage_links.replaced(value, self._inner)

    def _inner(self, link: InputLink | StageLink) -> Any:
        """Return what stands for a link inside an array or a hash; nothing leaves no element."""
        found = self._linked(link)
        return [] if found is _ABSENT else found

    def _linked(self, link: InputLink | StageLink) -> Any:
        if isinstance(link, InputLink):
            return self._counted(self._fields.get(link.field, _ABSENT))
        if link.stage not in self._executions:
            raise errors.InvalidInput(f"Stage with ID {link.stage} not found")
        if not link.is_output:
            found = self._field(link.stage, link.field)
            return found if found is _ABSENT else self._counted(part_of(found, link))
        execution = self._executions[link.stage]
        reference = JobReference(execution, link.field, None, link.index, link.metadata)
        return links.as_json(reference)

    def _counted(self, value: Any) -> Any:
        """Return a value that is put in the place of a link; raises if that are too many by now."""
        self.left -= links.count(value, self.left)
        if self.left < 0:
            raise errors.InvalidInput(
                f"The inputs to which the stages are linked come to more than {links.VALUES_MAX}"
                " values in all; link fewer stages to long arrays, or put these into files"
            )
        return value


def part_of(value: Any, link: StageLink | JobReference) -> Any:
    """Return the part of a value that a link with an index or metadata means.

    Raises InvalidInput if it has no such part.
    """
    index = link.index
    if index is not None and isinstance(value, list) and index < len(value):
        value, index = value[index], None
    if index is None and link.metadata is None:
        return value
    reference = links.reference_of(value)
    clashes = (
        reference is None
        or (index is not None and reference.index is not None)
        or reference.metadata is not None
    )
    if reference is None or clashes:
        asked = f"index {link.index}" if index is not None else f"metadata {link.metadata}"
        raise errors.InvalidInput(
            f'"{link.field}" has no {asked}, to which a link of the workflow refers'
        )
    return links.as_json(
        JobReference(
            reference.execution,
            reference.field,
            reference.stage,
            reference.index if index is None else index,
            link.metadata,
        )
    )


def in_order(
    stages: Iterable[str], values: Mapping[str, Values], executions: Mapping[str, str]
) -> list[str]:
    """Return the stages in an order in which each comes after those whose output it uses.

    Raises InvalidInput if they wait for each other.
    """
    stage_of = {execution: stage for stage, execution in executions.items()}
    waits = {
        stage: {
            stage_of[reference.execution]
            for reference in links.references(values[stage])
            if reference.execution in stage_of
        }
        for stage in stages
    }
    try:
        return list(graphlib.TopologicalSorter(waits).static_order())
    except graphlib.CycleError as error:
        circle = ", ".join(sorted(set(error.args[1])))
        raise errors.InvalidInput(f"The stages {circle} wait for each other's output") from error
