"""Every error the API answers."""

from __future__ import annotations

import inspect
import re

import pytest

from plasmid.domain import errors

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.ApiError) and kind is not errors.ApiError
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_carries_what_the_client_is_told(kind: type[errors.ApiError]) -> None:
    error = kind("what is wrong", {"a": 1})
    assert (error.type, error.message, error.details) == (kind.__name__, "what is wrong", {"a": 1})
    assert str(error) == "what is wrong"
    assert 400 <= error.status < 600


def test_the_table_in_the_docstring_is_the_code() -> None:
    said = dict(re.findall(r"^    (\w+) +(\d{3})", errors.__doc__ or "", re.MULTILINE))
    assert said == {kind.__name__: str(kind.status) for kind in KINDS}


def test_permission_denied_is_401_as_the_client_expects() -> None:
    assert errors.PermissionDenied.status == errors.InvalidAuthentication.status == 401
