"""`plasmid layer`: what installed dependencies have left here."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from plasmid.cli.trouble import CommandError
from plasmid.config import Config
from plasmid.engines import choice
from plasmid.environments import layer_upkeep
from plasmid.environments.layers import Layer, LayerError, Layers

_SHOWN_KEY: int = 12


def of(config: Config) -> Layers:
    """Return the layers of a configuration."""
    return Layers(config.layers_folder)


def show(config: Config, *, as_json: bool) -> None:
    """Print the layers, the one that was used last first, and how much room they take."""
    layers = of(config)
    found = layers.all()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode([_told(layer) for layer in found])).decode())
        return
    for layer in found:
        users = len(layers.holders(layer.about.key))
        using = f"  in use by {users} {'job' if users == 1 else 'jobs'}" if users else ""
        print(
            f"{layer.about.key[:_SHOWN_KEY]}  {layer.about.label}  on {_below(layer, found)}  "
            f"{_megabytes(layer)}  made {_day(layer.created_ms)}  "
            f"used {_ago(layer.used_ms)}{using}"
        )
    total = sum(layer.size_bytes for layer in found)
    limit = config.layers.size_bytes_max // 1_000_000
    print(f"{len(found)} layers, {total // 1_000_000} of {limit} MB", file=sys.stderr)


def remove(config: Config, keys: Sequence[str], *, everything: bool) -> None:
    """Delete layers by their keys or the beginnings of them; one in use stays and is an error."""
    layers = of(config)
    if not keys and not everything:
        raise CommandError("name a layer, or give --all; see: plasmid layer list", 2)
    problems = []
    for layer in layers.all() if everything else _chosen(layers, keys):
        try:
            layers.remove(layer.about.key)
            print(f"deleted {layer.about.key[:_SHOWN_KEY]}  {layer.about.label}")
        except LayerError as error:
            problems.append(str(error))
    if problems:
        raise CommandError("; ".join(problems))


async def collect(config: Config) -> None:
    """Delete what is too old or too much, and what killed builders have left."""
    layers = of(config)
    await layer_upkeep.sweep(choice.named(config.engine), layers)
    limits = layer_upkeep.Limits(config.layers.size_bytes_max, config.layers.age_days_max)
    deleted = await layers.run(lambda: layer_upkeep.collect(layers, limits))
    for layer in deleted:
        print(f"deleted {layer.about.key[:_SHOWN_KEY]}  {layer.about.label}  {_megabytes(layer)}")


def verify(config: Config, keys: Sequence[str]) -> int:
    """Read layers whole; put away the damaged ones, and return 1 if there was one."""
    layers = of(config)
    damaged = 0
    for layer in _chosen(layers, keys) if keys else layers.all():
        problem = layers.problem(layer)
        told = "whole" if problem is None else f"damaged: {problem}; the next job makes it anew"
        print(f"{layer.about.key[:_SHOWN_KEY]}  {layer.about.label}  {told}")
        if problem is not None:
            layers.put_away(layer.about.key)
            damaged += 1
    return 1 if damaged else 0


def _chosen(layers: Layers, keys: Sequence[str]) -> list[Layer]:
    chosen = []
    for key in keys:
        found = [layer for layer in layers.all() if layer.about.key.startswith(key)]
        if len(found) != 1:
            raise CommandError(f"{len(found)} layers begin with {key}; see: plasmid layer list")
        chosen += found
    return chosen


def _told(layer: Layer) -> dict[str, object]:
    return {
        "key": layer.about.key,
        "for": layer.about.label,
        "image": layer.about.image,
        "depth": layer.about.depth,
        "digest": layer.digest,
        "below": layer.about.below,
        "sizeBytes": layer.size_bytes,
        "createdMs": layer.created_ms,
        "usedMs": layer.used_ms,
        "seconds": layer.about.seconds,
        "resolved": layer.about.resolved,
    }


def _below(layer: Layer, found: Sequence[Layer]) -> str:
    """Return what a layer lies on: the base image or the layer below."""
    if not layer.about.below:
        return layer.about.image
    keys = [other.about.key for other in found if other.digest == layer.about.below]
    return keys[0][:_SHOWN_KEY] if keys else "a layer that is gone"


def _megabytes(layer: Layer) -> str:
    return f"{layer.size_bytes / 1_000_000:.1f} MB"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _ago(at_ms: int) -> str:
    seconds = time.time() - at_ms / 1000
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
