"""Every method of the API, declared once; the one door to behaviour.

A method is a decorated function `(call, target, body) -> answer`. The registry does what is the
same for all: it finds the method, decodes the body, loads the target, checks the access, replays a
nonce and holds the transaction. A method never checks a permission and never sees a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final

import msgspec

from plasmid.domain import errors, ids
from plasmid.methods import decode, levels, nonces, targets
from plasmid.methods.call import Call
from plasmid.methods.nonces import Nonce
from plasmid.methods.targets import Access

INTERNAL: Final = "internal/"

Handler = Callable[[Call, Any, Any], Awaitable[Any]]


class Mode(Enum):
    """How a method uses the database."""

    READ = "read"
    WRITE = "write"
    OWN = "own"


class Method(msgspec.Struct, frozen=True):
    """One route of the API: `/class-xxxx/verb` (on an object) or `/class/verb`."""

    route: str
    class_name: str
    verb: str
    on_object: bool
    access: Access
    body: Any
    mode: Mode
    has_nonce: bool
    has_lines: bool
    handler: Handler


METHODS: Final[dict[tuple[str, str, bool], Method]] = {}


def method(
    *routes: str,
    access: Access,
    body: Any = dict[str, Any],
    mode: Mode = Mode.READ,
    nonce: bool = False,
    has_lines: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare the function below as the method of these routes.

    With `has_lines` only the first line of a body is JSON; its `lines` are what stands below.
    """

    def declare(handler: Handler) -> Handler:
        for route in routes:
            subject, _, verb = route.strip("/").rpartition("/")
            on_object = subject.endswith("-xxxx")
            class_name = subject.removesuffix("-xxxx")
            key = (class_name, verb, on_object)
            if key in METHODS:
                raise RuntimeError(f"two methods for {route}")
            METHODS[key] = Method(
                route, class_name, verb, on_object, access, body, mode, nonce, has_lines, handler
            )
        return handler

    return declare


def resolve(path: str) -> tuple[Method, str]:
    """Return the method of a path and the subject it names; raises ResourceNotFound."""
    pieces = [piece for piece in path.split("/") if piece]
    if len(pieces) not in (2, 3):
        raise errors.ResourceNotFound(f"There is no route {path}")
    subject, verb = "/".join(pieces[:-1]), pieces[-1]
    found = METHODS.get((subject, verb, False))
    if found:
        return found, subject
    entity = subject.removeprefix(INTERNAL)
    class_name = ids.class_of(entity)
    if len(pieces) == 3 and ids.is_id(pieces[0], *ids.VERSIONED_CLASSES):
        class_name = ids.class_of(pieces[0])  # app-name/version
    prefix = INTERNAL if entity != subject else ""
    found = METHODS.get((f"{prefix}{class_name}", verb, True))
    if found is None:
        raise _unresolved(path, entity, class_name=class_name)
    return found, entity


def _unresolved(path: str, entity: str, *, class_name: str | None) -> errors.ApiError:
    """Return the error for a path without method; nothing is of a class that has no methods."""
    verb = path.rpartition("/")[2]
    on_objects = {key[:2] for key in METHODS if key[2]}
    if class_name is None and entity in {key[0] for key in METHODS if not key[2]}:
        return errors.ResourceNotFound(f"There is no route {path}")
    if class_name not in {known for known, _ in on_objects}:
        return targets.not_found(entity)
    if verb in {known for _, known in on_objects}:
        return errors.InvalidType(f"{verb} is no method of a {class_name}, which {entity} is")
    return errors.ResourceNotFound(f"There is no method {verb} of {class_name} here")


async def answer(call: Call, path: str, body: bytes) -> Any:
    """Carry out one call and return its answer; raises ApiError."""
    found, subject = resolve(path)
    if not found.class_name.startswith(INTERNAL):
        await decode.require_few_values(body)
    below = b""
    if found.has_lines:
        body, _, below = body.partition(b"\n")
    given = decode.decode(body, found.body)
    if found.has_lines:
        given.lines = below
    targets.require_login(call, found.access)
    nonce = None
    if found.has_nonce:
        nonce = await nonces.read(call, f"{subject}/{found.verb}", given, body)
    if found.mode is Mode.WRITE:
        async with call.platform.database.transaction() as tx:
            call.begin(tx)
            return await _carry_out(call, found, subject, given=given, nonce=nonce)
    return await _carry_out(call, found, subject, given=given, nonce=nonce)


async def _carry_out(
    call: Call, found: Method, subject: str, *, given: Any, nonce: Nonce | None
) -> Any:
    if nonce is not None:
        earlier = await nonces.earlier_answer(call, nonce)
        if earlier is not None:
            return earlier
    await levels.load_orgs(call)
    target = await targets.load(call, found.access, subject if found.on_object else None, given)
    result = await found.handler(call, target, given)
    if nonce is not None:
        await nonces.keep(call, nonce, result)
    return result
