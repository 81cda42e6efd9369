"""The form in which global workflows leave the API (contract E.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plasmid.methods.wire import fields
from plasmid.methods.wire.app import Facts, common

# What a workflow takes and gives is the same in all regions, but for what it is bound to.
INTERFACE: Final = ("inputs", "outputs", "inputSpec", "outputSpec")
ON_REQUEST: Final = ("stages",)
FROM_WORKFLOWS: Final = frozenset({"regionalOptions", *INTERFACE, *ON_REQUEST})
_SHOWN: Final = ("workflow", "resources", "pricingPolicy")


def describe(
    facts: Facts, workflows: Mapping[str, dict[str, Any]], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that the options ask for; `workflows` are the describes by region."""
    everything = common(facts)
    regions = facts.version.regional_options
    everything["regionalOptions"] = {
        region: {
            **{name: given[name] for name in _SHOWN if name in given},
            "workflowDescribe": workflows.get(region, {}),
        }
        for region, given in regions.items()
    }
    first = workflows.get(next(iter(regions)), {})
    everything.update({name: first.get(name) for name in INTERFACE})
    wanted = fields.selected(options, everything, ON_REQUEST)
    everything.update({name: first.get(name) for name in ON_REQUEST})
    return {field: value for field, value in everything.items() if field in wanted}
