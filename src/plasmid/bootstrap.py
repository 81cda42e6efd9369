"""Make the running world from the configuration; the only module that knows every adapter."""

from __future__ import annotations

import getpass
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from plasmid.api import asgi
from plasmid.auth import tokens
from plasmid.backends.local import LocalBackend
from plasmid.blobs.folder import FolderStore
from plasmid.config import Config, ConfigError, disk_bytes
from plasmid.dispatcher.world import World
from plasmid.domain.access import Actor
from plasmid.domain.placement import Machine
from plasmid.engines import cdi
from plasmid.environments import host_mirrors, mirrors
from plasmid.integrity.finding import Stores
from plasmid.logs.folder import FolderLogs
from plasmid.logs.secret_values import SecretValues
from plasmid.metadata import settings, users
from plasmid.metadata.database import Database
from plasmid.metadata.rows import UserRow
from plasmid.methods import built_in_apps, everything, internal
from plasmid.methods.call import Limits, Platform
from plasmid.worker.settings import WorkerSettings

WORKER_NAME: Final = "local"
_SIGNING_KEY: Final = "signing_key"


class Keys(msgspec.Struct):
    """The tokens that belong to a data folder: its first user's, its worker's, its operator's.

    The operator's acts as the first user, and may also give objects ids of another platform.
    """

    user: str
    user_token: str
    worker_token: str
    operator_token: str = ""


def user_name() -> str:
    """Return the name of the first user: that of the account which runs the server."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid{os.getuid()}"
    return re.sub(r"[^a-z0-9_.]", "_", name.lower())


async def open_platform(
    config: Config, data: Path, *, first_user: str = ""
) -> tuple[Platform, Keys]:
    """Open or make the data folder; returns the platform and the folder's tokens.

    The first user of a new folder is named after the account that runs this, unless told. Raises
    ConfigError, DatabaseUnusableError, OSError for a folder that cannot be used.
    """
    log_secrets = _log_secrets(config)
    everything.declare()
    _make_folders(data)
    database = Database(data / "plasmid.sqlite")
    blobs = FolderStore(data / "blobs")
    await blobs.sweep()
    platform = Platform(
        database=database,
        blobs=blobs,
        logs=FolderLogs(data / "logs"),
        backend=LocalBackend(config.jobs.lease_ms),
        signing_key=await _signing_key(database),
        limits=Limits(
            job_timeout_ms=config.jobs.timeout_ms_max,
            machine=_machine(config),
            fit=config.jobs.fit,
            tree_jobs_max=config.jobs.tree_jobs_max,
            job_calls_per_second=config.server.job_calls_per_second,
            user_calls_per_second=config.server.user_calls_per_second,
            failed_logins_per_minute=config.server.failed_logins_per_minute,
            user_tokens_max=config.server.user_tokens_max,
            user_orgs_max=config.server.user_orgs_max,
            escalate=config.jobs.escalate,
            reuse=config.jobs.reuse,
            queue_ms_min=config.jobs.queue_seconds_min * 1000,
            hold_ms_max=config.jobs.hold_hours_max * 3_600_000,
            log_bytes_max=config.logs.job_bytes_max,
            metrics_ms=config.logs.metrics_seconds * 1000,
            ssh_enabled=config.ssh.enabled,
            web_app_domain=config.web_apps.domain if config.web_apps.enabled else "",
        ),
        public_url=config.server.public_url.rstrip("/"),
    )
    platform.log_secrets = log_secrets
    return platform, await _keys(platform, data, first_user or f"user-{user_name()}")


def _log_secrets(config: Config) -> Callable[[], list[str]]:
    """Return what gives the values that are masked in logs; ConfigError if they cannot be read."""
    if not config.logs.secrets_file:
        return list
    try:
        return SecretValues(Path(config.logs.secrets_file)).read
    except (OSError, ValueError) as error:
        where = config.origins.get("logs.secrets_file", "")
        raise ConfigError(f"{where}: [logs] secrets_file: {error}") from error


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


def _machine(config: Config) -> Machine:
    jobs = config.jobs
    cores = max(len(os.sched_getaffinity(0)), jobs.cores)
    return Machine(
        memory_bytes=jobs.memory_bytes,
        jobs_max=jobs.running_max,
        cores=jobs.cores,
        disk_bytes=jobs.disk_bytes,
        gpus=cdi.gpus(),
        cores_shared=jobs.cores_overcommit * cores,
        disk_shared_bytes=_disk_shared_bytes(config),
        user_jobs_max=jobs.user_running_max,
    )


def _disk_shared_bytes(config: Config) -> int:
    if config.jobs.disk_limit == "off":
        return 0
    return config.jobs.disk_overcommit * disk_bytes(config.data_folder)


def make_world(platform: Platform) -> World:
    """Return what the dispatcher works on."""
    return World(
        database=platform.database,
        blobs=platform.blobs,
        logs=platform.logs,
        backend=platform.backend,
        changes=platform.changes,
        authenticator=platform.authenticator,
        machine=platform.limits.machine,
        randomness=platform.randomness,
        started_ms=platform.now_ms(),
        queue_ms_min=platform.limits.queue_ms_min,
    )


def make_workshop(platform: Platform) -> Stores:
    """Return what the repairs of `integrity` work on."""
    return Stores(
        platform.database,
        platform.blobs,
        platform.logs,
        now_ms=platform.now_ms,
        randomness=platform.randomness,
        authenticator=platform.authenticator,
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
        layers_folder=config.layers_folder,
        tools_folder=config.tools_folder,
        containers=config.containers.allow,
        layers_size_bytes_max=config.layers.size_bytes_max,
        layers_age_days_max=config.layers.age_days_max,
        image_table=config.images,
        engine=config.engine,
        disk_limit=config.jobs.disk_limit,
        sync_wait_ms=config.jobs.lease_ms // internal.SYNCS_A_LEASE,
        package_hosts=tuple(config.network.package_hosts),
        hosts=dict(entry.split("=", 1) for entry in config.network.hosts),
        closed_addresses=tuple(config.network.closed_addresses),
        ca_bundle=Path(bundle) if bundle else None,
        ssh_host=config.ssh.host or config.server.host,
        ssh_listen=config.server.host,
        ssh_ports=config.ssh.ports,
        mirrors=mirrors_of(config, os.environ),
    )


def mirrors_of(config: Config, environ: Mapping[str, str]) -> mirrors.Mirrors:
    """Return where package managers go; raises ConfigError for a key that cannot be read."""
    host = host_mirrors.read(environ)
    try:
        return mirrors.of(config.mirrors, config.packages, host)
    except OSError as error:
        where = config.origins.get("mirrors.apt_keys", "")
        raise ConfigError(f"{where}: [mirrors] apt_keys: {error}") from error


async def _signing_key(database: Database) -> bytes:
    found = await settings.find_setting(database.reader, _SIGNING_KEY)
    if found is None:
        found = secrets.token_hex(32)
        async with database.transaction() as tx:
            await settings.add_setting(tx, _SIGNING_KEY, found)
    return bytes.fromhex(found)


async def _keys(platform: Platform, data: Path, first_user: str) -> Keys:
    """Return the folder's tokens; made once, then read from its file, which only the owner may."""
    path = data / "keys.json"
    if path.exists():
        keys = msgspec.json.decode(path.read_bytes(), type=Keys)
    else:
        keys = Keys(first_user, secrets.token_hex(32), secrets.token_hex(32))
    if not keys.operator_token:  # a new folder, or one from before there were operators
        keys.operator_token = secrets.token_hex(32)
        write_private(path, msgspec.json.encode(keys))
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
            (keys.operator_token, Actor(user=keys.user, is_operator=True), "the operator's"),
        ):
            if await users.find_token(tx, tokens.hash_of(token)) is None:
                await tokens.add(tx, token, actor, now_ms=now_ms, expires_ms=None, label=label)
        await built_in_apps.seed(tx, keys.user, now_ms)


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


def write_private(path: Path, content: bytes) -> None:
    """Put a file in place whole, which only its owner may read."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
