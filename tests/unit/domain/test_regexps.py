"""Regular expressions find what Python's find, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import regexps

TEXTS = ("aa", "aaa", "ba", "", "a", "b", "ab", "aab", "abab", "A", "-", "]", "^", "a b", "_1", "é")


@pytest.mark.parametrize(
    "expression",
    [
        *("", "a", "ab", ".", "a|b", "a|", "(a)(b)", "(?:ab)+", "(?P<n>a)b", "(a|b)*c"),
        *("a*", "a+b", "ab?b", "a{2}", "a{1,}b", "a{0,1}$", "a{x}", "(ab){2}", "a*?", "a+?b"),
        *("^a*b$", "^a+$", "^(ab)*$", "^a{1,}$", "^a$", "^$", r"\Aa", r"\ba\b", r"a\Bb"),
        *("[ab]", "[^ab]", "[a-c]", "[]]", "[^]]", "[-a]", "[a-]", "[a\\-c]", r"[\d_]", r"[\]^]"),
        *(r"\d", r"\w\d", r"\s", r"\D", r"\S", r"\.", r"\-", r"\x61", "(?i)AB", "(?i)É"),
    ],
)
def test_it_finds_what_python_s_engine_finds(expression: str) -> None:
    compiled = regexps.compile_expression(expression)
    expected = re.compile(expression)
    for text in TEXTS:
        assert compiled.search(text) is (expected.search(text) is not None), text


letters = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", "^", "$", r"\b", ""])
expressions = st.recursive(
    letters,
    lambda inner: (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format)
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            "(?:{0[0]}){0[1]}".format
        )
    ),
    max_leaves=6,
)


@given(expressions, st.text(st.sampled_from("ab "), max_size=6))
@settings(max_examples=100, deadline=None)
def test_it_agrees_with_python_s_engine_on_made_up_expressions(expression: str, text: str) -> None:
    found = regexps.compile_expression(expression).search(text)
    assert found is (re.search(expression, text) is not None)


def test_case_counts_unless_it_is_ignored() -> None:
    assert not regexps.compile_expression("É").search("é")
    assert regexps.compile_expression("É", ignore_case=True).search("é")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(a+)+$", "a" * 30_000 + "b"),
        ("(a|a)*c", "a" * 30_000),
        (".*.*.*.*.*.*=.*", "a" * 30_000),
        ("(a?){50}a{50}c", "a" * 3000),
    ],
)
def test_an_expression_that_hangs_others_is_answered(expression: str, text: str) -> None:
    assert regexps.compile_expression(expression).search(text) is False


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "missing )"),
        (")", "unexpected )"),
        ("*a", "no argument for repetition operator"),
        ("a++", "bad repetition operator"),
        ("a{3,2}", "invalid repetition size"),
        ("a{1001}", "invalid repetition size"),
        ("[a", "missing ]"),
        ("[b-a]", "invalid character class range"),
        (r"\q", "invalid escape sequence"),
        (r"(a)\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("(((a{100}){100}){100}){100}", "invalid repetition size"),
    ],
)
def test_what_is_wrong_or_not_offered_is_said(expression: str, message: str) -> None:
    with pytest.raises(regexps.PatternError) as caught:
        regexps.compile_expression(expression)
    assert message in str(caught.value)
