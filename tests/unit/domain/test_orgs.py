"""What the members of an org may do, and how orgs and users are named (contract J.6, M.1)."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, orgs
from plasmid.domain.access import Level

ADMIN = {
    "allowBillableActivities": True, "appAccess": True, "projectAccess": "ADMINISTER",
    "cloudIntegrationManagement": False, "treManagement": False, "archivalManagement": True,
    "dataDeletion": True, "dataSearch": True, "projectMemberDemotion": True,
}  # fmt: skip
MEMBER = {
    "allowBillableActivities": False, "appAccess": True, "projectAccess": "CONTRIBUTE",
    "cloudIntegrationManagement": False, "treManagement": False, "archivalManagement": False,
    "dataDeletion": False, "dataSearch": False, "projectMemberDemotion": False,
}  # fmt: skip


def test_a_member_has_nine_permissions_which_an_admin_cannot_lack() -> None:
    assert orgs.access_of("MEMBER", {}) == MEMBER
    assert orgs.access_of("ADMIN", {"appAccess": False}) == ADMIN
    assert orgs.access_of("MEMBER", {"projectAccess": "VIEW"}) == {
        **MEMBER, "projectAccess": "VIEW"
    }  # fmt: skip
    assert orgs.project_access("MEMBER", {}) is Level.CONTRIBUTE
    assert orgs.project_access("ADMIN", {"projectAccess": "NONE"}) is Level.ADMINISTER
    assert not orgs.may_bill("MEMBER", {})
    assert orgs.may_bill("ADMIN", {})


@pytest.mark.parametrize(
    ("given", "handle"), [("abc", "abc"), ("The_Lab.2", "the_lab.2"), ("a" * 63, "a" * 63)]
)
def test_a_handle_is_kept_in_lower_case(given: str, handle: str) -> None:
    assert orgs.check_handle(given, "handle") == handle


@pytest.mark.parametrize(
    "given", ["ab", "", "1ab", "_ab", "a b", "a-b", "ab/", "aé3", "abc\n", "a" * 64, 7, None]
)
def test_a_wrong_handle_is_refused_by_its_key(given: Any) -> None:
    with pytest.raises(errors.InvalidInput, match='key "username" of input'):
        orgs.check_handle(given, "username")


def test_access_is_read_by_its_keys_and_nothing_else() -> None:
    given = {"projectAccess": "NONE", "appAccess": False, "level": "MEMBER", "other": 1}
    assert orgs.check_access(given) == {"projectAccess": "NONE", "appAccess": False}
    assert orgs.check_access({"dataSearch": None}) == {}


@pytest.mark.parametrize(
    ("given", "key"),
    [({"projectAccess": "OWNER"}, "projectAccess"), ({"appAccess": "yes"}, "appAccess")],
)
def test_wrong_access_is_refused_by_its_key(given: dict[str, Any], key: str) -> None:
    with pytest.raises(errors.InvalidInput, match=key):
        orgs.check_access(given)


def test_policies_are_read_and_unknown_ones_left_out() -> None:
    assert orgs.check_policies(None) == {}
    given = {"memberListVisibility": "PUBLIC", "jobReuse": True, "other": 1}
    assert orgs.check_policies(given) == {"memberListVisibility": "PUBLIC", "jobReuse": True}


@pytest.mark.parametrize(
    "given",
    ["x", {"memberListVisibility": "x"}, {"restrictProjectTransfer": "PUBLIC"}, {"jobReuse": 1}],
)
def test_wrong_policies_are_refused(given: Any) -> None:
    with pytest.raises(errors.InvalidInput, match="policies"):
        orgs.check_policies(given)


def test_a_new_orgs_members_are_shown_to_admins_and_its_projects_go_where_members_say() -> None:
    assert orgs.new_policies() == {
        "memberListVisibility": "ADMIN", "restrictProjectTransfer": "MEMBER"
    }  # fmt: skip
