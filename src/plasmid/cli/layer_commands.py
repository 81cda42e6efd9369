"""`plasmid layer`: its commands and their arguments."""

from __future__ import annotations

import os
import sys

from cyclopts import App

from plasmid import config

app = App(name="layer", help="Layers: what installed dependencies leave, kept for later jobs.")


def _config() -> config.Config:
    return config.load(os.environ)


@app.command(name="list")
def layer_list(*, json: bool = False) -> None:
    """List the layers that are here: what for, how large, how old, last used when.

    Parameters
    ----------
    json:
        Print them as JSON, with what exactly is installed in each.
    """
    from plasmid.cli import layers

    layers.show(_config(), as_json=json)


@app.command(name="rm")
def layer_rm(*key: str, all: bool = False) -> None:
    """Delete layers that no job uses.

    Parameters
    ----------
    key:
        Keys as in the list, or beginnings of them.
    all:
        Delete all of them.
    """
    from plasmid.cli import layers

    layers.remove(_config(), key, everything=all)


@app.command(name="gc")
def layer_gc() -> None:
    """Delete what [layers] allows no more, and what killed builds have left."""
    from plasmid.cli import layers, processes

    processes.run(layers.collect(_config()))


@app.command(name="verify")
def layer_verify(*key: str) -> None:
    """Read layers and compare them with the day they were made; damaged ones are put away.

    Parameters
    ----------
    key:
        Keys as in the list, or beginnings of them; none for all.
    """
    from plasmid.cli import layers

    sys.exit(layers.verify(_config(), key))
