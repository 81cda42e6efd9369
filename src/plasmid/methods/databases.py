"""What the platform does not have: databases, their clusters, and sponsors (contract D.7).

The client's routes for them are here all the same, so that it is told so in the API's words.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from plasmid.domain import errors
from plasmid.methods import targets
from plasmid.methods.call import Call
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access, Container

_SHARED: Final = (
    *("addTags", "addTypes", "describe", "getDetails", "removeTags", "removeTypes", "rename"),
    *("setDetails", "setProperties", "setVisibility"),
)
_OF_DATABASES: Final = ("close", "downloadFile", "listFolder", "listProjects", "relocate")
_OF_CLUSTERS: Final = ("start", "stop", "terminate")
_ROUTES: Final = (
    *(f"/database-xxxx/{verb}" for verb in (*_SHARED, *_OF_DATABASES)),
    *(f"/dbcluster-xxxx/{verb}" for verb in (*_SHARED, *_OF_CLUSTERS)),
)


@method(*_ROUTES, access=Access.NEVER, body=Any)
async def on_database(call: Call, target: str, body: Any) -> NoReturn:
    """Refuse: no database and no cluster exists, so none can be found."""
    raise targets.not_found(target)


@method("/dbcluster/new", access=Access.NEVER, mode=Mode.WRITE)
async def new_cluster(call: Call, target: None, body: dict[str, Any]) -> NoReturn:
    """Refuse: nobody may make a cluster of databases here."""
    raise errors.PermissionDenied("Database clusters are not offered on this platform")


@method("/system/findDatabases", access=Access.LOGIN)
async def find_databases(call: Call, target: None, body: dict[str, Any]) -> dict[str, Any]:
    """Return no databases: there are none on this platform."""
    return {"results": [], "next": None}


@method("/project-xxxx/updateSponsorship", access=Access.NEVER, mode=Mode.WRITE)
async def update_sponsorship(call: Call, target: Container, body: dict[str, Any]) -> NoReturn:
    """Refuse: storage costs nothing here, so that nobody sponsors it."""
    raise errors.PermissionDenied(
        f"{target.id} cannot be sponsored: nobody pays for storage on this platform"
    )
