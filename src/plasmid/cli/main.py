"""The commands of `plasmid`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from plasmid import __version__, config
from plasmid.cli.trouble import CommandError
from plasmid.telemetry import logging

app = App(
    name="plasmid",
    help="Runs DNAnexus applets and apps, unmodified, on any machine.",
    version=__version__,
)
image = App(name="image", help="Base images: the root file systems of jobs.")
app.command(image)


def main() -> None:
    """Run one command; troubles end it with one line and a non-zero exit code."""
    logging.configure()
    try:
        app(exit_on_error=True)
    except CommandError as error:
        print(f"plasmid: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except config.ConfigError as error:
        print(f"plasmid: {error}", file=sys.stderr)
        sys.exit(2)


def _config() -> config.Config:
    return config.load(os.environ)


@app.command
def serve(*, host: str | None = None, port: int | None = None, data: Path | None = None) -> None:
    """Serve the platform on this machine, with a worker, until stopped.

    Parameters
    ----------
    host:
        Address to listen on.
    port:
        Port to listen on; 0 takes any free one.
    data:
        Folder of the database, files and logs.
    """
    from plasmid.cli import processes, serve

    settings = _config()
    processes.run(
        serve.serve(
            settings,
            host=host or settings.server.host,
            port=settings.server.port if port is None else port,
            data=(data or settings.data_folder).absolute(),
        )
    )


@app.command(show=False)
def worker(*, data: Path) -> None:
    """Run the resident worker of a server's data folder (started by `serve`)."""
    from plasmid.cli import processes, worker

    sys.exit(processes.run(worker.run(_config(), data)))


@app.command
def env(*, data: Path | None = None, write: bool = False) -> None:
    """Print shell lines that point dx and dxpy at the server: eval "$(plasmid env)".

    Parameters
    ----------
    data:
        The data folder of the server.
    write:
        Also write ~/.dnanexus_config/environment.json, which dx reads without any variable.
    """
    from plasmid.cli import env

    env.show((data or _config().data_folder).absolute(), write=write)


@app.command
def run(
    applet: Path,
    *,
    input: Annotated[
        list[str] | None, Parameter(name=["-i", "--input"], allow_leading_hyphen=True)
    ] = None,
    input_json: Path | None = None,
    out: Path = Path("out"),
    json: bool = False,
) -> None:
    """Run one applet folder here, with no server and no account.

    Parameters
    ----------
    applet:
        Folder with dxapp.json.
    input:
        NAME=VALUE; a file input takes a local path; repeat it for arrays.
    input_json:
        File with inputs as JSON; -i wins.
    out:
        Folder for the output files, by field.
    json:
        Print one JSON object about the job instead of the outputs alone.
    """
    from plasmid.cli import processes, run

    request = run.Request(applet, tuple(input or ()), input_json, out, json)
    sys.exit(processes.run(run.run(_config(), request)))


@app.command(name="config")
def show_config() -> None:
    """Print the settings in force and where each came from."""
    for row in config.describe(_config()):
        print(f"{row.key} = {row.value}  ({row.origin}) {row.meaning}")


@app.command
def demo() -> None:
    """Run the main job on real reads with the real dx client, from nothing to a checked result."""
    from plasmid.cli import demo

    demo.main(_config())


@app.command
def doctor(*, json: bool = False) -> None:
    """Check this machine: one line a finding, each with its remedy.

    Parameters
    ----------
    json:
        Print the findings as JSON.
    """
    from plasmid.cli import doctor

    sys.exit(doctor.main(["--json"] if json else []))


@image.command(name="list")
def image_list() -> None:
    """List the base images that are here."""
    from plasmid.cli import images

    images.show(_config())


@image.command(name="build")
def image_build(name: str = "debian-12") -> None:
    """Build a base image from this machine's own package sources."""
    from plasmid.cli import images, processes

    processes.run(images.build(_config(), name))


@image.command(name="rm")
def image_rm(digest: str) -> None:
    """Delete a base image by its digest, or the beginning of it."""
    from plasmid.cli import images

    images.remove(_config(), digest)
