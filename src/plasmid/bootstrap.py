"""Make the running world from the configuration; the only module that knows every adapter."""

from __future__ import annotations

import getpass
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.api import asgi
from plasmid.auth import tokens
from plasmid.backends.local import LocalBackend
from plasmid.blobs.folder import FolderStore
from plasmid.config import Config
from plasmid.dispatcher.world import World
from plasmid.domain.access import Actor
from plasmid.domain.placement import Machine
from plasmid.logs.folder import FolderLogs
from plasmid.metadata import settings, users
from plasmid.metadata.database import Database
from plasmid.metadata.rows import UserRow
from plasmid.methods import everything
from plasmid.methods.call import Limits, Platform
from plasmid.worker.settings import WorkerSettings

WORKER_NAME: Final = "local"
_SIGNING_KEY: Final = "signing_key"


class Keys(msgspec.Struct):
    """The tokens that belong to a data folder: its first user's and its worker's."""

    user: str
    user_token: str
    worker_token: str


def user_name() -> str:
    """Return the name of the first user: that of the account which runs the server."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid{os.getuid()}"
    return re.sub(r"[^a-z0-9_.]", "_", name.lower())


async def open_platform(config: Config, data: Path) -> tuple[Platform, Keys]:
    """Open or make the data folder; returns the platform and the folder's tokens.

    Raises DatabaseUnusableError, OSError for a folder that cannot be used.
    """
    everything.declare()
    _make_folders(data)
    database = Database(data / "plasmid.sqlite")
    blobs = FolderStore(data / "blobs")
    await blobs.sweep()
    platform = Platform(
        database=database,
        blobs=blobs,
        logs=FolderLogs(data / "logs"),
        backend=LocalBackend(),
        signing_key=await _signing_key(database),
        limits=Limits(job_timeout_ms=config.jobs.timeout_ms_max),
    )
    return platform, await _keys(platform, data)


def _make_folders(data: Path) -> None:
    """Make the data folder: sandboxes below it must be reachable by their users, nothing else."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o711)
    for name in ("blobs", "logs"):
        (data / name).mkdir(exist_ok=True, mode=0o700)
    (data / "plasmid.sqlite").touch(mode=0o600)


def make_app(platform: Platform) -> Callable[..., Any]:
    """Return the ASGI application of the API."""
    return asgi.make_app(platform)


def make_world(platform: Platform, config: Config) -> World:
    """Return what the dispatcher works on."""
    return World(
        database=platform.database,
        blobs=platform.blobs,
        backend=platform.backend,
        changes=platform.changes,
        authenticator=platform.authenticator,
        machine=Machine(config.jobs.memory_bytes, config.jobs.running_max),
        randomness=platform.randomness,
        started_ms=platform.now_ms(),
    )


def worker_settings(config: Config, *, url: str, token: str, work: Path) -> WorkerSettings:
    """Return what the resident worker of this machine is told."""
    bundle = config.network.ca_bundle
    return WorkerSettings(
        server_url=url,
        token=token,
        name=WORKER_NAME,
        work_folder=work,
        images_folder=config.images_folder,
        image_table=config.images,
        engine=config.engine,
        package_hosts=tuple(config.network.package_hosts),
        ca_bundle=Path(bundle) if bundle else None,
    )


async def _signing_key(database: Database) -> bytes:
    found = await settings.find_setting(database.reader, _SIGNING_KEY)
    if found is None:
        found = secrets.token_hex(32)
        async with database.transaction() as tx:
            await settings.add_setting(tx, _SIGNING_KEY, found)
    return bytes.fromhex(found)


async def _keys(platform: Platform, data: Path) -> Keys:
    """Return the folder's tokens; made once, then read from its file, which only the owner may."""
    path = data / "keys.json"
    if path.exists():
        keys = msgspec.json.decode(path.read_bytes(), type=Keys)
    else:
        keys = Keys(f"user-{user_name()}", secrets.token_hex(32), secrets.token_hex(32))
        _write_private(path, msgspec.json.encode(keys))
    await _add_missing(platform, keys)
    return keys


async def _add_missing(platform: Platform, keys: Keys) -> None:
    now_ms = platform.now_ms()
    async with platform.database.transaction() as tx:
        if await users.find_user(tx, keys.user) is None:
            await tx.add(_first_user(keys.user, now_ms))
        for token, actor, label in (
            (keys.user_token, Actor(user=keys.user), "the first user's"),
            (keys.worker_token, Actor(worker=WORKER_NAME), "the worker's"),
        ):
            if await users.find_token(tx, tokens.hash_of(token)) is None:
                await tokens.add(tx, token, actor, now_ms=now_ms, expires_ms=None, label=label)


def _first_user(user_id: str, now_ms: int) -> UserRow:
    handle = user_id.removeprefix("user-")
    return UserRow(
        id=user_id,
        handle=handle,
        first=handle,
        last="",
        email=f"{handle}@localhost",
        bill_to=user_id,
        ssh_public_key=None,
        created_ms=now_ms,
    )


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
