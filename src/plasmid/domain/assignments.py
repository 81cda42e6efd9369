"""What a worker and the platform tell each other about jobs; both sides share these forms.

The worker calls `sync` in a loop: it says which tries it holds and gets what to start and what to
stop. Everything else is per job: log batches, `running`, `finished`. Each carries the try; a report
for a try that the worker no longer holds is refused (InvalidState), and the worker drops the try.
"""

from __future__ import annotations

from typing import Any

import msgspec

from plasmid.domain import totals


class HeldTry(msgspec.Struct, frozen=True):
    """One try of a job that a worker holds."""

    job: str
    attempt: int


class Resources(msgspec.Struct, frozen=True):
    """What a try may use, each of it a limit; `devices` are names of CDI."""

    memory_bytes: int
    cores: int
    disk_bytes: int
    devices: tuple[str, ...] = ()


class Assignment(msgspec.Struct):
    """All a worker needs to run one try, so that starting it asks for nothing more.

    `notes` are lines for the beginning of its log; `lock` is the executable's, see lock.py;
    `debug_on` are the failures for which the sandbox is to be held (contract H.5). A token with a
    `context_secret` is good only in calls that carry it, which is never told to the sandbox.
    `log_bytes_max` is what its log may still hold (0: any), `secrets` are masked in it,
    `metrics_ms` is how often its use of the machine is measured, and `https_ports` are those of
    its web application. A replay of a job (domain/replays.py) has a `mark`, which tells its sandbox
    from that of the job itself; if it `waits`, its code is not run.
    """

    job: str
    attempt: int
    token: str
    function: str
    interpreter: str
    code: str
    distribution: str
    release: str
    version: str
    environment: dict[str, str]
    job_description: dict[str, Any]
    executable_description: dict[str, Any]
    input: dict[str, Any]
    input_files: dict[str, str]
    bundled_depends: list[dict[str, Any]]
    exec_depends: list[dict[str, Any]]
    network: list[str]
    resources: Resources
    timeout_ms: int
    notes: list[str] = []
    lock: dict[str, Any] | None = None
    debug_on: list[str] = []
    context_secret: str = ""
    log_bytes_max: int = 0
    secrets: list[str] = []
    metrics_ms: int = 60_000
    https_ports: list[int] = []
    mark: str = ""
    waits: bool = False

    @property
    def proven_token(self) -> str:
        """The token as it is good from outside the sandbox, for what the worker does itself."""
        return f"{self.token}.{self.context_secret}" if self.context_secret else self.token


class SshAccess(msgspec.Struct, frozen=True):
    """Who may log in to a try by SSH: the owner of a key, from some addresses or networks.

    `project_name` is told at the login.
    """

    job: str
    attempt: int
    public_key: str
    addresses: tuple[str, ...]
    project_name: str = ""


class SyncRequest(msgspec.Struct):
    """A worker's sign of life: which tries it holds and how long it will wait for news.

    `ssh` is what it has been told of who may log in.
    """

    worker: str
    holding: list[HeldTry]
    wait_ms: int = 5000
    ssh: list[SshAccess] = []


class SyncReply(msgspec.Struct):
    """What the worker shall start and stop.

    `is_last` says that the server is about to stop: the worker ends too, and leaves its sandboxes
    running for the next one. `ssh` is who may log in to the tries that it holds; None: as before.
    """

    start: list[Assignment]
    stop: list[HeldTry]
    is_last: bool = False
    ssh: list[SshAccess] | None = None


class LogEntry(msgspec.Struct, gc=False):
    """One line of a job's log; level as in contract G.2 (STDOUT, STDERR, INFO, ...)."""

    timestamp: int
    source: str
    level: str
    msg: str


class LogBatch(msgspec.Struct):
    """Lines to append; `cursors` say how far each source has been read once they are kept.

    `since` says how far they were read before: a batch that was under way while others were kept,
    or that comes twice, is told by it and refused. None: it is kept in any case.
    `lines` follow `entries` and are such entries already as JSON, one a line: they are not part of
    the body's JSON, but stand below it.
    """

    worker: str
    attempt: int
    cursors: dict[str, int]
    entries: list[LogEntry] = []
    since: dict[str, int] | None = None
    lines: bytes = b""


class Doors(msgspec.Struct):
    """Where a try can be reached from outside while it lives; what is empty stays as it was told.

    `ssh_closed` says that nobody can log in any more. `ssh_host_key` is one public key line;
    `app_socket` is the path of unix sockets, each with `.PORT` behind it, on which the worker leads
    each connection to a port of the try's web application.
    """

    worker: str
    attempt: int
    ssh_host: str = ""
    ssh_port: int = 0
    ssh_host_key: str = ""
    app_socket: str = ""
    ssh_closed: bool = False


class LogCursors(msgspec.Struct):
    """How far each source of a try's log has been kept."""

    cursors: dict[str, int]


class Ran(msgspec.Struct, rename="camel", omit_defaults=True):
    """On what a try ran: base image and layers, by their content; how its code ended, and how big.

    A replay wants the same.
    """

    image: str = ""
    image_digest: str = ""
    layers: list[str] = []
    exit_code: int | None = None
    peak_memory_bytes: int | None = None


class Finished(msgspec.Struct):
    """How a try ended: its output, or why it failed (contract I.3, F.9).

    `not_enforced` are the limits of its instance type that this machine could not enforce, `usage`
    is what it has used of them.
    """

    worker: str
    attempt: int
    output: dict[str, Any] | None = None
    failure_reason: str | None = None
    failure_message: str | None = None
    peak_memory_bytes: int | None = None
    not_enforced: list[str] = []
    usage: totals.Totals | None = None
    ran: Ran | None = None


class Acknowledged(msgspec.Struct):
    """The report is kept."""

    id: str
