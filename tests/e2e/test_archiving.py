"""Archiving files and bringing them back, typed with the real client (contract C.9)."""

from __future__ import annotations

import pytest

from tests.e2e.driver import Dx

pytestmark = pytest.mark.e2e


def state(dx: Dx, file: str) -> str:
    return str(dx.json("describe", file)["archivalState"])


def test_what_is_archived_is_not_read_until_it_is_unarchived(dx: Dx) -> None:
    file = dx.upload("cold.txt", "cold")
    assert "Tagged 1 file(s) for archival" in dx("archive", "-y", file).out
    assert state(dx, file) == "archived"
    refused = dx("cat", file, code=3)
    assert "archivalState is archived; unarchive it first" in refused.text
    assert "Tagged 1 file(s) for unarchival, totalling" in dx("unarchive", "-y", file).out
    assert state(dx, file) == "unarchiving"


def test_a_folder_is_archived_and_found_by_its_state(dx: Dx) -> None:
    dx("mkdir", "/cold")
    live = dx.upload("live.txt", "live")
    cold = [dx.upload(f"{name}.txt", name) for name in ("a", "b")]
    dx("mv", *cold, "/cold")
    assert "Tagged 2 file(s) for archival" in dx("archive", "-y", "/cold/").out
    body = {"class": "file", "scope": {"project": dx.project}}
    archived = dx.call("/system/findDataObjects", {**body, "archivalState": "archived"})
    assert set(cold) <= {entry["id"] for entry in archived["results"]}
    found = dx.call("/system/findDataObjects", {**body, "archivalState": "live"})
    assert live in {entry["id"] for entry in found["results"]}
    missing = dx("archive", "-y", "/nowhere/", code=3)
    assert "ResourceNotFound" in missing.text
