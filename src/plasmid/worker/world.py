"""What all tries of a worker share."""

from __future__ import annotations

import msgspec

from plasmid.environments import layers
from plasmid.worker import adapters, file_watch, layer_builds, platform, ssh_grants, starts
from plasmid.worker.settings import WorkerSettings


class World(msgspec.Struct, frozen=True):
    """A worker's settings, what it runs jobs with, and its link to the platform."""

    settings: WorkerSettings
    adapters: adapters.Adapters
    link: platform.Platform
    watch: file_watch.FileWatch
    layers: layers.Layers
    builds: layer_builds.LayerBuilds
    ssh: ssh_grants.Grants = msgspec.field(default_factory=ssh_grants.Grants)
    starts: starts.Starts = msgspec.field(default_factory=starts.Starts)
