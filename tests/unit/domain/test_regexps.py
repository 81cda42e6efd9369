"""Regular expressions find what Python's find, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmid.domain import regexps
from plasmid.domain import regexps_grammar as grammar

TEXTS = (
    "aa",
    "aaa",
    "ba",
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abab",
    "A",
    "-",
    "]",
    "^",
    "a b",
    "a\n",
    "\n",
    "a\nb",
    "_1",
    "é",
)


@pytest.mark.parametrize(
    "expression",
    [
        *("", "a", "ab", ".", "a|b", "a|", "(a)(b)", "(?:ab)+", "(?P<n>a)b", "(a|b)*c"),
        *("a*", "a+b", "ab?b", "a{2}", "a{1,}b", "a{0,1}$", "{", "a{x}", "}", "(ab){2}"),
        *("a*?", "a+?b", "(a*)*", "(a*)+b", "(|a)+", "()", "(){3}a"),
        *("^a*b$", "^a+$", "^(ab)*$", "^a{1,}$", "^(a*b)+$", "^a*?$", "^a?$", "^a{2,}$", "^[a-a]$"),
        *("^a", "a$", "^a$", "^$", "$a", "a^", r"\Aa", r"\ba\b", r"a\Bb", r"\Ba"),
        *("[ab]", "[^ab]", "[a-c]", "[]]", "[^]]", "[-a]", "[a-]", "[a\\-c]", r"[\d_]", r"[\]^]"),
        *(r"\d", r"\w\d", r"\s", r"\D", r"\W", r"\S", r"\.", r"\-", r"\n", r"\x61", r"[\x61-\x62]"),
        *("(?i)AB", "(?i)[^a]", "(?i)É"),
    ],
)
def test_it_finds_what_python_s_engine_finds(expression: str) -> None:
    compiled = regexps.compile_expression(expression)
    expected = re.compile(expression)
    for text in TEXTS:
        assert compiled.search(text) is (expected.search(text) is not None), text


@pytest.mark.parametrize(
    ("expression", "text", "is_found"),
    [
        (r"a\Z", "a\n", True),
        (r"a\z", "a\n", False),
        (r"a\z", "a", True),
        ("^a{,2}$", "a{,2}", True),
        ("^(?:a{2}{3})$", "aaaaaa", True),
        ("^(?:a{2}{3})$", "aaaa", False),
    ],
)
def test_where_pcre_differs_from_python_it_is_like_pcre(
    expression: str, text: str, is_found: bool
) -> None:
    assert regexps.compile_expression(expression).search(text) is is_found


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


@given(expressions, st.text(st.sampled_from("ab \n"), max_size=6))
@settings(max_examples=100, deadline=None)
def test_it_agrees_with_python_s_engine_on_made_up_expressions(expression: str, text: str) -> None:
    found = regexps.compile_expression(expression).search(text)
    assert found is (re.search(expression, text) is not None)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(a+)+$", "a" * 3000 + "b"),
        ("(a|a)*c", "a" * 3000),
        (".*.*.*.*.*.*=.*", "a" * 3000),
        ("(a?){50}a{50}c", "a" * 300),
        ("(a|b)*a(a|b){12}c", "ab" * 500),
    ],
)
def test_an_expression_that_hangs_others_is_answered(expression: str, text: str) -> None:
    assert regexps.compile_expression(expression).search(text) is False


def test_what_is_remembered_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regexps, "REMEMBERED_MAX", 500)
    compiled = regexps.Expression(grammar.parse("a(a|b){14}c"))
    for number in range(500):
        compiled.search(f"{number:015b}".replace("0", "a").replace("1", "b"))
        assert len(compiled._steps) < regexps.REMEMBERED_MAX + 100


def test_what_is_large_but_not_too_large_is_compiled() -> None:
    assert regexps.compile_expression("(" * 50 + "a" + ")" * 50).search("a")
    assert regexps.compile_expression("a" * 1000).search("a" * 1000)
    assert regexps.compile_expression("a{1000}").search("a" * 1000)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "a parenthesis is not closed (at character 2)"),
        (")", "a parenthesis is closed that was not opened (at character 1)"),
        ("a)b", "(at character 2)"),
        ("*a", "there is nothing to repeat (at character 1)"),
        ("a|+", "there is nothing to repeat (at character 3)"),
        ("a**", "there is nothing to repeat"),
        ("a{2}*", "there is nothing to repeat"),
        ("a++", "possessive repeats are not offered"),
        ("a{3,2}", "bounds in the wrong order"),
        ("a{1001}", "count to 1000 at most"),
        ("[a", "a bracket is not closed"),
        ("[b-a]", "ends in the wrong order"),
        ("[[:alpha:]]", "POSIX classes are not offered"),
        ("a\\", "has no meaning"),
        (r"\q", r"\q has no meaning"),
        (r"[\q]", r"\q has no meaning"),
        (r"(a)\1", "back-references are not offered"),
        ("(?=a)", "look-around and inline flags are not offered"),
        ("(?!a)", "look-around"),
        ("(?<=a)", "look-around"),
        ("(?s)a", "inline flags"),
        (r"\x6", "2 hexadecimal digits"),
        (r"\xzz", "2 hexadecimal digits"),
        ("(" * 51 + ")" * 51, "nested 50 deep at most"),
        ("(a{100}){100}", "too large"),
        ("((){1000}){1000}", "too large"),
        ("(((){1000}){1000}){1000}", "too large"),
    ],
)
def test_what_is_wrong_or_not_offered_is_said(expression: str, message: str) -> None:
    with pytest.raises(regexps.PatternError) as caught:
        regexps.compile_expression(expression)
    assert message in str(caught.value)
