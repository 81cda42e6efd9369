"""What is said of ids and names that are another platform's."""

from __future__ import annotations

import pytest

from plasmid.domain import foreign_ids
from tests.worlds import World

RECORD, PROJECT, FILE = (f"{name}-{'0' * 24}" for name in ("record", "project", "file"))


@pytest.mark.parametrize(
    ("entity", "said"),
    [
        (RECORD, f"plasmid asset import ARCHIVE --id {RECORD}, or plasmid asset map {RECORD})"),
        (PROJECT, f"plasmid asset import ARCHIVE --project {PROJECT}, or plasmid asset map"),
        (FILE, f"can map it: plasmid asset map {FILE})"),
        ("app-nextflow_pipeline_importer", "dx build --nextflow FOLDER)"),
        ("app-nextflow_pipeline_importer/default", "dx build --nextflow FOLDER)"),
    ],
)
async def test_an_id_that_is_not_there_is_refused_with_what_can_be_done(
    world: World, entity: str, said: str
) -> None:
    refused = await world.refused(f"/{entity}/describe")
    assert refused.type == "ResourceNotFound"
    assert refused.message.startswith(f"The entity {entity} could not be found (")
    assert said in refused.message


@pytest.mark.parametrize("entity", [f"job-{'0' * 24}", "app-nextflow", "user-nobody"])
def test_nothing_is_said_where_nothing_can_be_done(entity: str) -> None:
    assert foreign_ids.hint(entity) == ""
