"""Defaults that are read from the metadata of another input's object."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors, io_spec, metadata_defaults
from plasmid.domain.metadata_defaults import MetadataDefault

FILE = {"$dnanexus_link": "file-" + "B" * 24}
OTHER = {"$dnanexus_link": "file-" + "F" * 24}


def default(**target: Any) -> dict[str, Any]:
    return {"$dnanexus_link": target}


NAME = default(input="reads", metadata="name")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (NAME, MetadataDefault("reads", "name")),
        (default(input="reads", metadata="properties.k"), MetadataDefault("reads", "properties.k")),
        (default(input="reads", metadata="name", index=1), MetadataDefault("reads", "name", 1)),
        (default(input="reads", metadata="name", index=-1), None),
        (default(input="reads", metadata="name", index=True), None),
        (default(input="reads"), None),
        (default(job="job-" + "J" * 24, field="f", metadata="name"), None),
        (FILE, None),
        ("reads", None),
        (None, None),
    ],
)
def test_a_default_is_read(written: Any, read: MetadataDefault | None) -> None:
    assert metadata_defaults.of(written) == read


def spec(optional: bool, **reads: Any) -> list[dict[str, Any]]:
    return [
        {"name": "sample", "class": "string", "optional": optional, "default": NAME},
        {"name": "reads", "class": "file", "optional": True, **reads},
    ]


@pytest.mark.parametrize("optional", [False, True])
def test_it_is_put_in_where_the_other_input_has_a_value(optional: bool) -> None:
    given = {"reads": FILE}
    checked = io_spec.check_values(spec(optional), given)
    assert checked == {"sample": NAME, "reads": FILE}
    assert metadata_defaults.applying(spec(optional), given, checked) == {
        "sample": MetadataDefault("reads", "name")
    }
    assert io_spec.check_values(spec(optional, default=FILE), {}) == checked


def test_without_the_other_input_the_field_has_no_default() -> None:
    assert io_spec.check_values(spec(optional=True), {}) == {}
    with pytest.raises(errors.InvalidInput, match='to have property "sample"'):
        io_spec.check_values(spec(optional=False), {})


def test_what_is_given_beats_it() -> None:
    given = {"sample": "mine", "reads": FILE}
    checked = io_spec.check_values(spec(optional=False), given)
    assert checked == given
    assert metadata_defaults.applying(spec(optional=False), given, checked) == {}


def test_nobody_may_give_the_form_of_a_default_as_a_value() -> None:
    with pytest.raises(errors.InvalidInput, match='"sample" of input to be a string'):
        io_spec.check_values(spec(optional=False), {"sample": NAME, "reads": FILE})


@pytest.mark.parametrize(
    ("index", "value", "found"),
    [
        (None, FILE, [FILE]),
        (None, [FILE, OTHER], [FILE, OTHER]),
        (1, [FILE, OTHER], [OTHER]),
        (2, [FILE, OTHER], []),
        (None, "text", []),
        (None, None, []),
    ],
)
def test_it_means_one_object_or_each_of_an_array(index: int | None, value: Any, found: Any) -> None:
    meant = MetadataDefault("reads", "name", index)
    assert metadata_defaults.linked(meant, {"reads": value}) == found
