"""What a method is given: who calls, when, and the platform's stores."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmid.auth.app_sessions import AppSessions
from plasmid.auth.logins import Logins
from plasmid.auth.rates import Rates
from plasmid.auth.tokens import Authenticator
from plasmid.backends.backend import Backend
from plasmid.blobs.store import BlobStore
from plasmid.domain import errors, ids
from plasmid.domain.access import Actor, Level
from plasmid.domain.placement import Machine
from plasmid.domain.workflow_spec import Interface
from plasmid.logs.store import LogStore
from plasmid.metadata.changes import Changes
from plasmid.metadata.database import Database, Reader, Transaction
from plasmid.metadata.rows import OrgMemberRow
from plasmid.methods.job_samples import JobSamples

NOT_LOGGED_IN: Final = "You must be logged in to do this: the call carries no token of a user"

# A region is a name here: executables are built for one and run in projects of the same.
REGIONS: Final = (
    "aws:us-east-1",
    "aws:ap-south-1",
    "aws:ap-southeast-2",
    "aws:eu-central-1",
    "aws:eu-west-2",
    "aws:me-south-1",
    "azure:westeurope",
    "azure:westus",
)


def clock_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Limits(msgspec.Struct, frozen=True):
    """Figures that an operator may change.

    `machine` is what jobs can have here; with `fit`, those that want more run with that. With
    `escalate`, a job that lacked memory or disk is tried again on a larger instance type; with
    `reuse`, one may be given the outputs of an equal one. None starts before it has been runnable
    for `queue_ms_min`. Calls are limited for the jobs of each tree and for each user, where they
    are (not 0), and so are logs, failed logins, and the tokens and orgs of a user. Jobs' web
    applications are below `web_app_domain`, if it is not empty.
    """

    job_timeout_ms: int = 30 * 24 * 3600 * 1000
    machine: Machine = Machine(0, 0)
    fit: bool = False
    escalate: bool = False
    reuse: bool = False
    queue_ms_min: int = 0
    hold_ms_max: int = 72 * 3600 * 1000
    tree_jobs_max: int = 10_000
    job_calls_per_second: int = 0
    user_calls_per_second: int = 0
    failed_logins_per_minute: int = 20
    user_tokens_max: int = 1_000
    user_orgs_max: int = 1_000
    log_bytes_max: int = 0
    metrics_ms: int = 60_000
    ssh_enabled: bool = True
    web_app_domain: str = ""


class Platform:
    """The running world: stores, clock and randomness, made by bootstrap."""

    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        logs: LogStore,
        backend: Backend,
        signing_key: bytes,
        regions: tuple[str, ...] = REGIONS,
        limits: Limits | None = None,
        public_url: str = "",
        now_ms: Callable[[], int] = clock_ms,
        randomness: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.logs = logs
        self.backend = backend
        self.signing_key = signing_key
        self.regions = regions
        self.limits = limits or Limits()
        self.public_url = public_url
        self.now_ms = now_ms
        self.randomness = randomness
        # Where the server listens; whoever makes it listen says so.
        self.own_url = "http://127.0.0.1"
        # The site's values that are masked in every log.
        self.log_secrets: Callable[[], list[str]] = list
        self.app_sessions = AppSessions(signing_key, randomness)
        self.authenticator = Authenticator()
        self.rates = Rates(
            jobs=self.limits.job_calls_per_second, users=self.limits.user_calls_per_second
        )
        self.logins = Logins(self.limits.failed_logins_per_minute)
        self.changes = Changes()
        self.samples = JobSamples()
        self.is_stopping = False
        database.listeners += [self.authenticator.hear, self.changes.publish]

    def stop(self) -> None:
        """Let those who wait for changes end: the server is about to stop."""
        self.is_stopping = True
        self.changes.wake_all()


class Request(msgspec.Struct, frozen=True):
    """What a few methods need to know of the call's outside: how the caller reached us."""

    base_url: str = ""
    client_ip: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class Call:
    """One call of a method."""

    def __init__(self, platform: Platform, actor: Actor, request: Request, *, now_ms: int) -> None:
        self.platform = platform
        self.actor = actor
        self.request = request
        self.now_ms = now_ms
        self.reader: Reader = platform.database.reader
        self._tx: Transaction | None = None
        self.levels: dict[str, Level] = {}
        # What executables take and give, as far as it was looked up; None: not accessible.
        self.interfaces: dict[str, Interface | None] = {}
        # the caller's places in orgs, by org: there before a method's target is loaded
        self.orgs: dict[str, OrgMemberRow] = {}

    @property
    def tx(self) -> Transaction:
        """The transaction of a method that writes."""
        if self._tx is None:
            raise RuntimeError("a method that only reads has asked for a transaction")
        return self._tx

    def begin(self, transaction: Transaction) -> None:
        """Read and write in a transaction from now on."""
        self._tx = transaction
        self.reader = transaction

    def mint(self, class_name: str) -> str:
        """Return a new id."""
        return ids.mint(class_name, self.platform.randomness(15))

    @property
    def user(self) -> str:
        """The caller's user id; raises InvalidAuthentication if nobody is logged in."""
        if self.actor.user is None:
            raise errors.InvalidAuthentication(NOT_LOGGED_IN)
        return self.actor.user


class Ref(msgspec.Struct):
    """The answer of most methods that change something."""

    id: str


Answer = dict[str, Any] | list[Any] | msgspec.Struct
