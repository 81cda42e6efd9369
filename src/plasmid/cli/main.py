"""The commands of `plasmid`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from plasmid import __version__, config
from plasmid.cli import (
    fixture_commands,
    image_commands,
    layer_commands,
    log_command,
    people_commands,
    replay_command,
)
from plasmid.cli.trouble import CommandError
from plasmid.domain import dxapp
from plasmid.telemetry import logging

app = App(
    name="plasmid",
    help="Runs DNAnexus applets and apps, unmodified, on any machine.",
    version=__version__,
)
app.command(image_commands.app)
app.command(layer_commands.app)
app.command(log_command.logs)
app.command(replay_command.replay)
app.command(fixture_commands.app)
app.command(people_commands.user)
app.command(people_commands.token)
app.command(people_commands.org)
asset = App(name="asset", help="What this site has for the assets and ids that apps bring along.")
app.command(asset)


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
def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    fit: bool = False,
) -> None:
    """Serve the platform on this machine, with a worker, until stopped.

    Parameters
    ----------
    host:
        Address to listen on.
    port:
        Port to listen on; 0 takes any free one.
    data:
        Folder of the database, files and logs.
    fit:
        Let a job whose instance type is larger than this machine run with what there is.
    """
    from plasmid.cli import processes, serve

    settings = _config().fitting() if fit else _config()
    processes.run_daemon(
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

    sys.exit(processes.run_daemon(worker.run(_config(), data)))


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
    sys.exit(processes.run(run.run(_config().fitting(), request)))


@app.command
def lock(applet: Path, *, check: bool = False, into_dxapp: bool = False) -> None:
    """Write dxapp.lock.json: the exact versions and hashes of an applet folder's dependencies.

    Parameters
    ----------
    applet:
        Folder with dxapp.json.
    check:
        Write nothing; say how the lock that is there differs from dxapp.json.
    into_dxapp:
        Put it also into details.plasmidLock of dxapp.json, with which `dx build` sends it.
    """
    from plasmid.cli import lock, processes

    request = lock.Request(applet, check, into_dxapp)
    sys.exit(processes.run(lock.lock_applet(_config().fitting(), request)))


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
def fsck(
    *,
    data: Path | None = None,
    work: Path | None = None,
    repair: bool = False,
    deep: bool = False,
    json: bool = False,
) -> None:
    """Check that nothing is lost and nothing is left, on a running or a stopped platform.

    Exits with 0 if all is sound (or repaired), 1 if something is not, 2 if that cannot be told.

    Parameters
    ----------
    data:
        The data folder of the server.
    work:
        The worker's folder of tries; by default the one in the data folder.
    repair:
        Put right what can be put right safely; else nothing is changed.
    deep:
        Also read all bytes of files and all lines of logs.
    json:
        Print one JSON object a finding.
    """
    from plasmid.cli import fsck, processes

    settings = _config()
    folder = (data or settings.data_folder).absolute()
    request = fsck.Request(
        data=folder,
        work=(work or folder / "work").absolute(),
        repairs=repair,
        is_deep=deep,
        as_json=json,
    )
    sys.exit(processes.run(fsck.fsck(settings, request)))


@app.command(name="open")
def open_app(
    job: str,
    *,
    port: int | None = None,
    browser: bool = False,
    data: Path | None = None,
) -> None:
    """Print a link that opens a job's web application (httpsApp), once and within a minute.

    Parameters
    ----------
    job:
        Id of the job.
    port:
        Another of the application's ports than its first.
    browser:
        Also open the link in this machine's browser.
    data:
        The data folder of the server; a shell that is set up for dx needs none.
    """
    from plasmid.cli import open_app, processes

    default = _config().data_folder
    opening = open_app.show(job, data=data, default=default, port=port, in_browser=browser)
    processes.run(opening)


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


@asset.command(name="import")
def asset_import(
    source: Path | None = None,
    *,
    name: str,
    version: str,
    apt: str = "",
    pip: str = "",
    title: str = "",
    id: str | None = None,
    project: str = "assets",
    folder: str = "/",
    region: str = dxapp.DEFAULT_REGION,
    release: str = dxapp.DEFAULT_RELEASE,
    data: Path | None = None,
) -> None:
    """Give this site an asset, which applets name in assetDepends; prints its record's id.

    Parameters
    ----------
    source:
        Archive (.tar.gz, ...) or folder whose root is /.
    name:
        The asset's name.
    version:
        The asset's version.
    apt:
        Instead of an archive: packages of the release's base image, as "samtools bedtools=2.31".
    pip:
        The same by pip, as "dash pysam==0.22".
    title:
        A line for people; the name if there is none.
    id:
        Id of the record by which apps name the asset.
    project:
        Id or name of the project in which apps look for it; made if it is not there.
    folder:
        Folder in that project.
    region:
        Region of a project that is made.
    release:
        Release of Ubuntu that it is for.
    data:
        The data folder of the server.
    """
    from plasmid.cli import asset_builds, assets, processes

    settings = _config()
    given = assets.Given(
        source=source,
        packages=asset_builds.Packages(tuple(apt.split()), tuple(pip.split())),
        name=name,
        version=version,
        title=title,
        release=release,
        id=id,
    )
    place = assets.Place(project, folder, region)
    folder_of_data = (data or settings.data_folder).absolute()
    processes.run(assets.add(settings, given, place, folder_of_data))


@asset.command(name="map")
def asset_map(
    vendor_id: str,
    local: str | None = None,
    *,
    project: str = "assets",
    folder: str = "/",
    region: str = dxapp.DEFAULT_REGION,
    data: Path | None = None,
) -> None:
    """Let an id of another platform stand for a local object, a file of this machine, or a project.

    Parameters
    ----------
    vendor_id:
        Id that apps name: file-, record-, applet- or project-.
    local:
        Id of a local object of that class, or the path of a file; none for an empty project.
    project:
        Id or name of the project in which apps look for it; made if it is not there.
    folder:
        Folder in that project.
    region:
        Region of a project that is made.
    data:
        The data folder of the server.
    """
    from plasmid.cli import assets, processes

    settings = _config()
    place = assets.Place(project, folder, region)
    folder_of_data = (data or settings.data_folder).absolute()
    processes.run(assets.map_id(settings, vendor_id, local, place, data=folder_of_data))


@asset.command(name="unmap")
def asset_unmap(entity: str, *, everywhere: bool = False, data: Path | None = None) -> None:
    """Take an asset, a mapped id or an empty project of this site away again.

    Parameters
    ----------
    entity:
        The id, as in the list.
    everywhere:
        Also where builds have copied it to: applets that use it do not work any more.
    data:
        The data folder of the server.
    """
    from plasmid.cli import assets, processes

    settings = _config()
    folder_of_data = (data or settings.data_folder).absolute()
    processes.run(assets.unmap(settings, entity, folder_of_data, everywhere=everywhere))


@asset.command(name="list")
def asset_list(*, json: bool = False) -> None:
    """List the site's assets and mapped ids by project.

    Parameters
    ----------
    json:
        Print the table as JSON.
    """
    from plasmid.cli import assets

    assets.show(_config(), as_json=json)
