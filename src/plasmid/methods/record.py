"""Records (contract D.6)."""

from __future__ import annotations

from typing import Any

from plasmid.domain import keys, object_states
from plasmid.methods import creation, shared
from plasmid.methods.call import Call, Ref
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, DataObject


@method("/record/new", access=Access.LOGIN, mode=Mode.WRITE, nonce=True)
async def new(call: Call, target: None, body: dict[str, Any]) -> Ref:
    """Create a record, closed at once if asked."""
    given = await creation.initialised(call, body, "record")
    state = object_states.born("record", close=keys.boolean(given, "close"))
    return Ref(await creation.create(call, "record", given, state=state, content={}))


@method("/record-xxxx/close", access=Access.OBJECT_UPLOAD, mode=Mode.WRITE)
async def close(call: Call, target: DataObject, body: dict[str, Any]) -> Ref:
    """Close a record; a closed one stays as it is."""
    if object_states.needs_closing(target.row.state):
        await shared.close(call, target, {})
    return Ref(target.id)
