"""The house rules hold in this tree."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy import rules

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
TESTS = ROOT / "tests"
HERE = Path(__file__).parent
UNTESTED = HERE / "untested.txt"
# Doors and processes are thin; the end-to-end tests go through them.
DOORS = ("api", "cli", "dispatcher", "web", "worker")
# Copied into sandboxes: run there by the end-to-end tests, on interpreters as old as Python 2.7.
RUNTIME = SRC / "plasmid" / "runtime"
TABLES = SRC / "plasmid" / "metadata" / "schema.py"

Rule = Callable[[str], Iterator[str]]


def modules() -> list[Path]:
    return sorted(p for p in SRC.rglob("*.py") if not p.is_relative_to(RUNTIME))


def files_of_tests() -> list[Path]:
    return sorted(TESTS.rglob("*.py"))


def texts() -> list[Path]:
    """Every file of the repository that is text, by git where there is one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        hidden = {".git", ".venv", "__pycache__"}
        paths = [p for p in ROOT.rglob("*") if not hidden & set(p.relative_to(ROOT).parts)]
    return [p for p in paths if p.is_file() and b"\0" not in p.read_bytes()[:1024]]


def findings(paths: list[Path], *applied: Rule) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in paths
        for rule in applied
        for finding in rule(path.read_text(encoding="utf-8", errors="replace"))
    ]


def none(found: list[str]) -> None:
    """Fail with all findings, one a line."""
    assert not found, "\n" + "\n".join(found)


def test_functions_and_signatures_keep_their_budgets() -> None:
    none(findings(modules(), rules.long_functions, rules.many_positional))


def test_files_keep_their_budget() -> None:
    none(findings([p for p in modules() if p != TABLES], rules.long_file))


def test_modules_classes_and_public_functions_say_what_they_are() -> None:
    none(findings(modules(), rules.undocumented))


def test_modules_are_named_for_what_is_inside() -> None:
    named = [(p, list(rules.banned_name(p.relative_to(SRC)))) for p in modules()]
    none([f"{p}: {found[0]}" for p, found in named if found])


def test_every_task_belongs_to_a_group() -> None:
    none(findings(modules() + files_of_tests(), rules.unstructured))


def test_tests_do_not_sleep() -> None:
    tests = [p for p in files_of_tests() if not p.is_relative_to(TESTS / "benchmarks")]
    none(findings(tests, rules.sleeps))


def test_only_three_files_catch_everything() -> None:
    strict = [p for p in modules() if str(p.relative_to(SRC)) not in rules.CATCH_ALL]
    none(findings(strict, rules.catches_all))


def test_nothing_is_left_unfinished() -> None:
    none(findings([p for p in texts() if p.suffix != ".txt"], rules.unfinished))


def test_no_file_names_one_machine_or_a_package_server() -> None:
    none(findings(texts(), rules.names_a_place))


def test_every_page_of_the_docs_can_be_reached_and_no_link_is_broken() -> None:
    docs = ROOT / "docs"
    seen: set[Path] = set()
    broken: list[str] = []
    front = [docs / "index.md", *ROOT.glob("*.md")]
    waiting = list(front)
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in rules.links(page.read_text(encoding="utf-8")):
            linked = (page.parent / target).resolve()
            if not linked.exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
            elif linked.suffix == ".md" and linked not in seen:
                waiting.append(linked)
    lost = sorted(str(p.relative_to(ROOT)) for p in set(docs.rglob("*.md")) - seen)
    assert (broken, lost) == ([], [])


def test_files_that_the_front_pages_name_are_there() -> None:
    for page in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        named = rules.source_files((ROOT / page).read_text(encoding="utf-8"))
        assert named
        none([f"{page}: {name}" for name in named if not (SRC / "plasmid" / name).exists()])


def test_generated_pages_say_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [path.name for path, text in pages.items() if path.read_text() != text]
    assert (len(pages), stale) == (5, []), "run `just docs`"


def untested() -> dict[str, str]:
    """The modules that are listed as tested elsewhere, with the reason."""
    rows = [line.partition("#") for line in UNTESTED.read_text().splitlines()]
    return {name.strip(): reason.strip() for name, _, reason in rows if name.strip()}


def test_every_module_outside_the_doors_is_imported_by_a_test_or_listed_with_a_reason() -> None:
    imported = {
        name for path in files_of_tests() for name in rules.imported_modules(path.read_text())
    }
    missing = set()
    for path in modules():
        relative = path.relative_to(SRC)
        dotted = ".".join(relative.with_suffix("").parts)
        is_excused = relative.parts[1] in DOORS or path.stem in ("__init__", "__main__")
        if not is_excused and dotted not in imported:
            missing.add(dotted)
    listed = untested()
    none([f"{name}: add a test, or a line to untested.txt" for name in sorted(missing - {*listed})])
    none([f"{name}: has a test or is gone, take it off the list" for name in {*listed} - missing])
    none([f"{name}: its line must end with `# reason`" for name, why in listed.items() if not why])


@pytest.mark.parametrize("name", ["build", "dev", "runtime"])
def test_requirements_are_pinned_and_carry_hashes(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", "").splitlines()
    pinned = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert pinned
    assert [line for line in pinned if "==" not in line or "--hash=sha256:" not in line] == []


def test_every_declared_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    declared = {"runtime": project["dependencies"] + optional["client"], "dev": optional["dev"]}
    for name, requirements in declared.items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        for requirement in requirements:
            bare = re.split(r"[<>=\[]", requirement, maxsplit=1)[0]
            assert f"\n{bare}==" in text, f"{bare}: run `just requirements`"
