"""Orgs, members and accounts with the real `dx`, and the operator's commands beside it."""

from __future__ import annotations

import pytest

from tests.e2e.driver import Dx, Site
from tests.e2e.second_user import client, new_name, plasmid

pytestmark = pytest.mark.e2e

ORG = "org-the_lab"


@pytest.fixture(scope="module")
def carol(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Dx:
    """The client of a user whom the operator has let in."""
    return client(site, tmp_path_factory.mktemp("carol"), "carol")


def test_an_org_is_made_filled_and_shared_with(site: Site, dx: Dx, carol: Dx) -> None:
    name = carol.username
    assert carol("whoami").out == f"{name}\n"
    assert dx.id("new", "org", "The Lab", "--handle", "The_Lab") == ORG
    dx("add", "member", ORG, name, "--level", "MEMBER", "--project-access", "UPLOAD")
    refused = dx("add", "member", ORG, name, "--level", "ADMIN", code=3).text
    assert "already a member" in refused
    found = {entry["id"]: entry for entry in dx.json("find", "org", "members", ORG)}
    assert (found[carol.user]["level"], found[carol.user]["projectAccess"]) == ("MEMBER", "UPLOAD")
    assert name in plasmid(site.data, "org", "list", ORG)
    assert carol.id("find", "orgs", "--level", "MEMBER") == ORG
    dx("invite", ORG, dx.project, "ADMINISTER")
    carol("mkdir", f"{dx.project}:/carols")
    assert "CONTRIBUTE" in carol("rm", "-r", f"{dx.project}:/carols", code=3).text
    assert dx.project in carol.id("find", "projects", "--level", "UPLOAD")

    billed = dx.id("new", "project", "of the lab", "--bill-to", ORG)
    assert dx.id("find", "org", "projects", ORG) == billed
    refused = carol("new", "project", "mine", "--bill-to", ORG, code=3).text
    assert "PermissionDenied" in refused
    dx("update", "member", ORG, name, "--allow-billable-activities", "true")
    carols = carol.id("new", "project", "carols", "--bill-to", ORG)
    assert dx.id("find", "org", "projects", ORG, "--ids", carols) == carols
    assert carols in dx("remove", "member", ORG, name, "-y").text
    assert "PermissionDenied" in carol("ls", f"{dx.project}:", code=3).text
    dx.call(f"/{carols}/join", {"level": "ADMINISTER"})
    for project in (billed, carols):
        dx("rmproject", "-y", project)


def test_an_account_is_made_by_the_client_and_waits_for_its_token(site: Site, dx: Dx) -> None:
    name = new_name("dan")
    email = f"{name}@example.org"
    command = ("new", "user", "--username", name.capitalize(), "--email", email)
    assert "AccountError" in dx(*command, code=3).text  # without a name
    made = dx(*command, "--first", "Dan", "--brief")
    assert made.out == f"user-{name}\n"
    assert f"user-{name}" in plasmid(site.data, "user", "list")
    token = plasmid(site.data, "token", "new", name)
    assert site.call("/system/whoami", token=token) == {"id": f"user-{name}"}
    plasmid(site.data, "user", "disable", name)
    assert "InvalidAuthentication" in dx("whoami", "--auth-token", token, code=3).text
