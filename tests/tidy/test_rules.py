"""Each house rule can fail: it finds what it is made to find, and lets the rest be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy import rules

Rule = Callable[[str], Iterator[str]]

LONG = "def f():\n" + "    x = 1\n" * 60
DOCUMENTED = '"""M."""\nclass C:\n    """C."""\n    def m(self):\n        """M."""\n'


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (rules.long_functions, LONG, LONG.removesuffix("    x = 1\n")),
        (rules.long_file, "x\n" * 401, "x\n" * 400),
        (rules.many_positional, "def f(a, b, c, d, e): ...", "def f(self, a, b, c, d, *, e): ..."),
        (rules.undocumented, "x = 1", '"""M."""\nx = 1'),
        (rules.undocumented, '"""M."""\nclass C: ...', DOCUMENTED),
        (rules.undocumented, '"""M."""\ndef f(): ...', '"""M."""\ndef _f(): ...'),
        (rules.undocumented, DOCUMENTED + "    def n(self): ...", DOCUMENTED),
        (rules.unstructured, "asyncio.create_task(f())", "group.create_task(f())"),
        (rules.unstructured, "await asyncio.gather(f(), g())", "gather(f())"),
        (rules.unstructured, "asyncio.get_running_loop().create_task(f())", "loops.append(1)"),
        (rules.sleeps, "async def f():\n    await asyncio.sleep(1)", "await_done()"),
        (rules.sleeps, "time.sleep(0.1)", "clock.sleep(1)"),
        (rules.catches_all, "try: f()\nexcept: g()", "try: f()\nexcept OSError: g()"),
        (
            rules.catches_all,
            "try: f()\nexcept Exception: g()",
            "try: f()\nexcept BaseException:\n    g()\n    raise",
        ),
        (rules.catches_all, "try: f()\nexcept BaseException: g()", "f()"),
        (rules.unfinished, "x = 1  # TO" + "DO later", "a todo list"),
        (rules.names_a_place, "see /wo" + "rk/main", "folder / work/main and a/work/b"),
        (rules.names_a_place, "https://py" + "pi.org/simple", "the package index"),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(rule: Rule, bad: str, good: str) -> None:
    assert list(rule(bad))
    assert not list(rule(good))


def test_a_name_that_says_nothing_is_found_as_file_and_as_package() -> None:
    assert list(rules.banned_name(Path("plasmid/metadata/utils.py")))
    assert list(rules.banned_name(Path("plasmid/core/jobs.py")))
    assert not list(rules.banned_name(Path("plasmid/metadata/jobs.py")))


def test_both_forms_of_import_count_as_importing_a_module() -> None:
    text = "import plasmid.config\nfrom plasmid.domain import ids, links\n"
    assert rules.imported_modules(text) >= {
        "plasmid.config",
        "plasmid.domain.ids",
        "plasmid.domain.links",
    }


def test_links_of_a_page_leave_out_anchors_addresses_and_code() -> None:
    text = "[a](a.md#x) [b](https://b.example) [c](../c.md) [d](#here)\n```\n[e](e.md)\n```\n"
    assert rules.links(text) == {"a.md", "../c.md"}


def test_source_files_of_a_page_are_those_in_code_spans() -> None:
    text = "`api/asgi.py` and `methods/applet.py: run` in `engines/`, not domain/ids.py"
    assert rules.source_files(text) == ["api/asgi.py", "engines/", "methods/applet.py"]
