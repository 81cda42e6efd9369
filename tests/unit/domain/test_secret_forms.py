"""A secret is found however a program writes it."""

from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest

from plasmid.domain import secret_forms

VALUE = 'pä/ss+"word" 1&\\'


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        VALUE[::-1],
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        quote(VALUE),
        quote(VALUE, safe=""),
        quote_plus(VALUE),
        quote(VALUE, safe="").lower(),
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        json.dumps({"inner": json.dumps([VALUE])}),
        json.dumps(VALUE, ensure_ascii=False).replace("/", "\\/"),
        shlex.quote(VALUE + "'x").replace("'x", ""),
    ],
)
def test_a_value_is_known_in_the_usual_encodings(written: str) -> None:
    forms = secret_forms.of(VALUE)
    assert any(form in written.encode() for form in forms)


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "user:"])
@pytest.mark.parametrize("after", ["", "!", "!!", "\n"])
def test_base64_is_known_wherever_the_value_stands_in_it(before: str, after: str) -> None:
    forms = secret_forms.of("a??>>value~~")
    text = (before + "a??>>value~~" + after).encode()
    assert any(form in base64.b64encode(text) for form in forms)
    assert any(form in base64.urlsafe_b64encode(text) for form in forms)


def test_of_a_value_of_several_lines_each_is_masked() -> None:
    forms = secret_forms.of("-----BEGIN KEY-----\nabcdefgh\nxy\n")
    assert b"abcdefgh" in forms
    assert b"xy" not in forms
    assert not [form for form in forms if b"\n" in form]


@pytest.mark.parametrize("value", ["", "abc", "x" * 5000])
def test_what_is_too_short_or_too_long_has_no_forms_and_a_reason(value: str) -> None:
    assert secret_forms.of(value) == set()
    assert secret_forms.refusal(value)


def test_no_form_is_in_every_other_word() -> None:
    assert min(map(len, secret_forms.of("abcd"))) >= secret_forms.CHARACTERS_MIN
