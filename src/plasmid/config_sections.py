"""The sections of the configuration: each setting with its meaning, limits and default."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

_DAY_MS: Final = 24 * 60 * 60 * 1000


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where `plasmid serve` listens and keeps its data."""

    host: Annotated[
        str, Meta(min_length=1, description="Address to listen on; 0.0.0.0 opens it to others.")
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    ] = 8124
    data: Annotated[
        str, Meta(description="Folder of the database, files and logs; empty: HOME/data.")
    ] = ""
    public_url: Annotated[
        str,
        Meta(
            pattern="^(https?://.+)?$",
            description="URL by which others reach the server; jobs' identity tokens name it.",
        ),
    ] = ""
    job_calls_per_second: Annotated[
        int,
        Meta(
            ge=0,
            description="Calls a second, over ten seconds, that the jobs of one tree may make; "
            "others are told to come back later. 0: no limit.",
        ),
    ] = 200
    user_calls_per_second: Annotated[
        int, Meta(ge=0, description="The same for all tokens of a user. 0: no limit.")
    ] = 0
    failed_logins_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            description="Logins that may fail in a minute from one address, or to one account; "
            "further ones are told to come back later. 0: no limit.",
        ),
    ] = 20
    user_tokens_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Tokens that a user may have at the same time; the operator can make "
            "others. 0: no limit.",
        ),
    ] = 1_000
    user_orgs_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Orgs that a user may have made; the operator can make others. "
            "0: no limit.",
        ),
    ] = 1_000
    trusted_proxies: Annotated[
        list[Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")]],
        Meta(
            description="Addresses or networks of reverse proxies that are believed whom they "
            "forward for (X-Forwarded-For, X-Forwarded-Proto)."
        ),
    ] = msgspec.field(default_factory=list)


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many jobs run at once on this machine, with how much of it, and for how long."""

    running_max: Annotated[int, Meta(ge=1, description="Jobs that may run at the same time.")] = 16
    user_running_max: Annotated[
        int,
        Meta(ge=0, description="Jobs that one user may run at the same time; 0: without a limit."),
    ] = 100
    tree_jobs_max: Annotated[
        int, Meta(ge=1, description="Jobs that one tree may have, those that are over included.")
    ] = 10_000
    memory_bytes: Annotated[
        int,
        Meta(ge=0, description="Memory that running jobs share; 0: four fifths of the machine's."),
    ] = 0
    cores: Annotated[
        int, Meta(ge=0, description="Cores that one job may have; 0: all of the machine's.")
    ] = 0
    disk_bytes: Annotated[
        int,
        Meta(ge=0, description="Disk that one job may have; 0: as large as the disk of HOME."),
    ] = 0
    cores_overcommit: Annotated[
        int,
        Meta(
            ge=0,
            description="How many times the machine's cores running jobs may add up to; they "
            "share them by weight. 0: cores are not counted.",
        ),
    ] = 4
    disk_overcommit: Annotated[
        int,
        Meta(
            ge=0,
            description="How many times the machine's disk running jobs may add up to, where "
            "disk_limit keeps them to theirs. 0: disk is not counted.",
        ),
    ] = 4
    fit: Annotated[
        bool,
        Meta(
            description="Whether a job whose instance type is larger than the machine runs with "
            "what there is; else it is refused."
        ),
    ] = False
    disk_limit: Annotated[
        str,
        Meta(
            pattern="^(auto|quota|loop|off)$",
            description="What keeps a job to the disk of its instance type: quota (of the file "
            "system), loop (one of its own), off (nothing), auto (the first that works here).",
        ),
    ] = "auto"
    timeout_ms_max: Annotated[
        int, Meta(ge=1000, le=30 * _DAY_MS, description="Longest time that a job may run.")
    ] = 30 * _DAY_MS
    lease_ms: Annotated[
        int,
        Meta(
            ge=1000,
            le=600_000,
            description="Silence after which a worker is taken for lost and its jobs are tried "
            "again; it calls three times as often.",
        ),
    ] = 10_000
    escalate: Annotated[
        bool,
        Meta(
            description="Whether a job that is tried again for want of memory or disk gets the "
            "next larger instance type of its family, if this machine has more to give."
        ),
    ] = False
    hold_hours_max: Annotated[
        int,
        Meta(ge=1, le=720, description="Longest time that a failed job is held for debugging."),
    ] = 72
    reuse: Annotated[
        bool,
        Meta(
            description="Whether a job is given the outputs of an equal one that is done, instead "
            "of running; orgs, projects and runs can ask for it where this is false."
        ),
    ] = False
    queue_seconds_min: Annotated[
        int,
        Meta(
            ge=0,
            le=3600,
            description="Time that each job is runnable before it starts, as in a cloud: for tests "
            "of clients that look at jobs in the queue.",
        ),
    ] = 0


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every job may reach, whatever its applet declares."""

    package_hosts: Annotated[
        list[str],
        Meta(
            description="More package mirrors than those that the base image itself names: "
            "`host` for its ports 80 and 443, or `host:port`."
        ),
    ] = msgspec.field(default_factory=list)
    hosts: Annotated[
        list[Annotated[str, Meta(pattern=r"^[^=\s]+=[0-9A-Fa-f.:]+$")]],
        Meta(description="Names that jobs know although no name server does: `name=address`."),
    ] = msgspec.field(default_factory=list)
    closed_addresses: Annotated[
        list[str],
        Meta(
            description="Networks that no job may reach, whatever it is granted: `10.0.0.0/8`. "
            "This machine's own addresses and clouds' metadata services are closed in any case."
        ),
    ] = msgspec.field(default_factory=list)
    ca_bundle: Annotated[
        str,
        Meta(description="File of certificates that jobs trust; empty: this machine's own."),
    ] = ""


class Layers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many installed dependencies are kept for later jobs."""

    size_bytes_max: Annotated[
        int,
        Meta(ge=0, description="Room for layers that no job uses; the longest unused go first."),
    ] = 50_000_000_000
    age_days_max: Annotated[
        int, Meta(ge=0, description="Days after its last use that a layer is deleted.")
    ] = 60


class Containers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs may run containers of their own (`docker`) and mount file systems (`dxfuse`)."""

    allow: Annotated[
        str,
        Meta(
            pattern="^(auto|always|never)$",
            description="Jobs that get docker and dxfuse: auto (those whose code, dependencies, "
            "input or scripts name them), always or never.",
        ),
    ] = "auto"


class ImageSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where base images are made from."""

    prefer: Annotated[
        str,
        Meta(
            pattern="^(apt|oci)$",
            description="How images are made: apt (packages of a mirror) or oci (a registry's "
            "image, furnished).",
        ),
    ] = "apt"
    apt: Annotated[
        dict[str, str],
        Meta(
            description="Package archives, by distribution or release, and where Debian's "
            'security is: "Debian" = "http://mirror/debian http://mirror/debian-security".'
        ),
    ] = msgspec.field(default_factory=dict)
    oci: Annotated[
        dict[str, str],
        Meta(description='Registry images: "ubuntu-24.04" = "registry.example.org/ubuntu:24.04".'),
    ] = msgspec.field(default_factory=dict)
    keyring: Annotated[
        str,
        Meta(description="File of keys that sign the archives, if others than Ubuntu's, Debian's."),
    ] = ""


class Logs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is kept of what jobs say, and what is masked in it."""

    job_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Size of one job's log, all tries; what comes beyond it is cut, but for "
            "priority lines and the last lines. 0: no limit.",
        ),
    ] = 2 << 30
    secrets_file: Annotated[
        str,
        Meta(description="File of values that are masked in every log, one a line."),
    ] = ""
    metrics_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description="How often a running job's use of processor, memory, disk and network is "
            "measured; runs that ask for detailed metrics are measured every second.",
        ),
    ] = 60


class Ssh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How people log in to the sandboxes of jobs that allow it (`dx run --allow-ssh`)."""

    enabled: Annotated[
        bool, Meta(description="Whether jobs can be reached by SSH at all, if their runs allow it.")
    ] = True
    host: Annotated[
        str,
        Meta(
            description="Name or address by which others reach this machine; empty: [server] host."
        ),
    ] = ""
    ports: Annotated[
        str,
        Meta(
            pattern=r"^(\d+-\d+)?$",
            description="Ports that are taken for it, such as 22000-22999; empty: any free ones.",
        ),
    ] = ""


class WebApps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the web applications of jobs (`httpsApp`) can be reached, and where."""

    enabled: Annotated[
        bool, Meta(description="Whether jobs with httpsApp are reached through the server.")
    ] = False
    domain: Annotated[
        str,
        Meta(
            min_length=1,
            description="Domain whose names job-xxxx.DOMAIN lead to the server; localhost needs "
            "no name server.",
        ),
    ] = "localhost"
