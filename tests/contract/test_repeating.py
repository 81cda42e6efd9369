"""The client repeats a call whose answer was lost: it must be good twice (contract A.8)."""

from __future__ import annotations

from plasmid.methods.registry import Mode
from tests import prepared
from tests.worlds import a_world

# The client never repeats these by itself (`retryable` is false in its table of wrappers), or has
# no caller for them; a second project/destroy finds that the first has done its work.
NOT_REPEATED = {
    *(f"/{name}-xxxx/{verb}" for name in ("project", "container") for verb in ("clone", "move")),
    *(f"/{name}-xxxx/renameFolder" for name in ("project", "container")),
    "/project-xxxx/removeObjects",
    "/project-xxxx/leave",
    "/project-xxxx/destroy",
    "/container-xxxx/destroy",
    # no wrapper of the client's, so nothing repeats them by itself (contract A.8, K.4)
    "/user/new",
    "/org-xxxx/destroy",
    "/project-xxxx/acceptTransfer",
    "/internal/token/revoke",
    # an edit names the version that it changes (contract E.6)
    *(
        f"/workflow-xxxx/{verb}"
        for verb in (
            "addStage",
            "removeStage",
            "moveStage",
            "update",
            "updateStageExecutable",
            "overwrite",
        )
    ),
    # a version is published once (contract E.5)
    "/app-xxxx/publish",
    "/globalworkflow-xxxx/publish",
}


async def test_a_call_that_is_repeated_is_answered_again() -> None:
    async with a_world() as world:
        ready = await prepared.prepare(world)
        snapshot = prepared.Snapshot(world)
        refused = set()
        for method in prepared.methods():
            route, body = ready.call_of(method)
            as_ = ready.caller_of(method)
            first = await world.answer(route, body, as_=as_)
            assert first.status_code == 200, f"{route}: {first.text}"
            second = await world.answer(route, body, as_=as_)
            if second.status_code != 200:
                refused.add(method.route)
            elif method.has_nonce:
                assert first.json() == second.json()
            if method.mode is not Mode.READ:
                snapshot.restore()
        assert refused == NOT_REPEATED
