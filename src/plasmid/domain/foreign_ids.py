"""What can be done about ids and names of the platform that an app was written for."""

from __future__ import annotations

from typing import Final

from plasmid.domain import ids

_MAPPABLE: Final = ("applet", "file", "project", "record")
_OPTIONS: Final = {"record": "--id", "project": "--project"}
# The client runs it for `dx build --nextflow` with --repository, --cache-docker or --remote.
_IMPORTER: Final = "app-nextflow_pipeline_importer"


def hint(entity_id: str) -> str:
    """Return what follows "X could not be found": the remedy in parentheses, or nothing."""
    if entity_id.partition("/")[0] == _IMPORTER:
        return (
            " (the vendor's importer of Nextflow pipelines is not here: fetch the pipeline and"
            " build its folder, dx build --nextflow FOLDER)"
        )
    if ids.is_id(entity_id, *_MAPPABLE):
        return f" (if it is another platform's, the operator can map it: {_command(entity_id)})"
    return ""


def _command(entity_id: str) -> str:
    """Return the command that gives another platform's id a local object."""
    option = _OPTIONS.get(entity_id.partition("-")[0])
    mapping = f"plasmid asset map {entity_id}"
    return f"plasmid asset import ARCHIVE {option} {entity_id}, or {mapping}" if option else mapping
