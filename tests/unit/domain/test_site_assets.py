"""The site's table: which asset an entry of assetDepends names, and what to say of one it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, site_assets
from plasmid.domain.site_assets import Asset, SiteProject, StandIn, Table

RECORD = "record-J" + "0" * 23
OTHER = "record-J" + "1" * 23
PROJECT = "project-J" + "0" * 23


def an_asset(**changes: Any) -> Asset:
    values: dict[str, Any] = {
        "id": RECORD, "file_id": "file-" + "0" * 24, "project": PROJECT, "folder": "/a b",
        "name": "hts'lib", "file_name": "hts'lib.tar.gz", "content": "0", "size_bytes": 1,
        "properties": {"version": "1.15"}, **changes,
    }  # fmt: skip
    return Asset(**values)


@pytest.fixture
def table() -> Table:
    mapped = StandIn(id=OTHER, project=PROJECT, folder="/", local=RECORD)
    return Table([SiteProject(PROJECT, "tools", "aws:us-east-1")], [an_asset()], [mapped])


@pytest.mark.parametrize(
    "wanted",
    [
        {"id": RECORD},
        {"id": {"$dnanexus_link": RECORD}},
        {"id": {"project": PROJECT, "id": RECORD}},
        {"id": {"$dnanexus_link": {"project": PROJECT, "id": RECORD}}},
        {"id": OTHER},
        {"name": "hts'lib", "version": "1.15", "project": PROJECT, "folder": "/a b"},
        {"name": "hts'lib", "version": "1.15", "project": "tools", "folder": "/a b/"},
    ],
)
def test_an_asset_is_found_by_every_form(table: Table, wanted: dict[str, Any]) -> None:
    found = table.find(wanted)
    assert found is not None
    assert found.id == RECORD


@pytest.mark.parametrize(
    "wanted",
    [
        {"id": "record-" + "9" * 24},
        {"name": "hts'lib", "version": "1.15", "project": PROJECT},
        {"name": "hts'lib", "version": "1.1", "project": PROJECT, "folder": "/a b"},
        {"name": "htslib", "version": "1.15", "project": PROJECT, "folder": "/a b"},
        {"name": "hts'lib", "version": "1.15", "project": "other", "folder": "/a b"},
    ],
)
def test_no_other_asset_is_taken_for_it(table: Table, wanted: dict[str, Any]) -> None:
    assert table.find(wanted) is None


@pytest.mark.parametrize("wanted", [{}, {"name": "x"}, {"id": 5}, {"id": "file-" + "0" * 24}])
def test_an_entry_of_no_form_is_refused(table: Table, wanted: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput, match="assetDepends"):
        table.find(wanted)


def test_what_is_missing_is_named_with_a_command_that_a_shell_takes() -> None:
    assert f"--id {RECORD}" in site_assets.missing({"id": {"$dnanexus_link": RECORD}})
    said = site_assets.missing({"name": "a'b", "version": "1; rm x", "project": PROJECT})
    assert 'the asset "a\'b" 1; rm x' in said
    assert """--name 'a'"'"'b' --version '1; rm x'""" in said
    assert f"--project {PROJECT} --folder /" in said


def test_a_table_knows_its_entries_and_projects(table: Table) -> None:
    assert [entry.id for entry in table.entries()] == [RECORD, OTHER]
    assert table.entry(OTHER) is table.stand_ins[0]
    assert table.entry("record-x") is None
    assert table.project("tools") is table.project(PROJECT) is table.projects[0]
