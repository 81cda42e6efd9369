"""The house rules as functions: text in, findings out, so that each rule can be tested itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FUNCTION_LINES_MAX: Final = 60
FILE_LINES_MAX: Final = 400
POSITIONAL_MAX: Final = 4
BANNED_MODULES: Final = frozenset(
    {"utils", "util", "common", "helpers", "base", "core", "services", "managers", "misc"}
)
# What must never end a process may be caught whole in these places only.
CATCH_ALL: Final = frozenset(
    {
        "plasmid/api/asgi.py",
        "plasmid/dispatcher/loop.py",
        "plasmid/worker/run.py",
        "plasmid/worker/side_tasks.py",
    }
)
_UNSTRUCTURED: Final = frozenset({"create_task", "ensure_future", "gather"})
_SLEEPS: Final = frozenset({"asyncio.sleep", "time.sleep", "anyio.sleep"})

# Pieces are joined here so that this file does not hold what it looks for.
_UNFINISHED: Final = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
_HOSTS: Final = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "deb.debian" + ".org",
    "snapshot.debian" + ".org",
    "crates" + ".io",
    "ruby" + "gems.org",
)
_PLACES: Final = re.compile(
    r"(?<![\w.}/-])/(?:wo" + r"rk/(?:main|shared|venv|brief|\.)|op" + r"t/(?:py" + "pi|wheels))"
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(text: str) -> Iterator[str]:
    """Yield the functions that are over the budget of lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"line {node.lineno}: {node.name} has {lines} lines (60 at most)"


def long_file(text: str) -> Iterator[str]:
    """Yield a finding if the file is over the budget of lines."""
    lines = len(text.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"has {lines} lines (400 at most)"


def many_positional(text: str) -> Iterator[str]:
    """Yield the functions with too many positional parameters, self and cls not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            names = [argument.arg for argument in node.args.posonlyargs + node.args.args]
            names = names[1:] if names[:1] in (["self"], ["cls"]) else names
            if len(names) > POSITIONAL_MAX:
                yield f"line {node.lineno}: {node.name} has {len(names)} positional parameters"


def undocumented(text: str) -> Iterator[str]:
    """Yield the module, classes and public functions without a docstring."""
    tree = ast.parse(text)
    if not ast.get_docstring(tree):
        yield "line 1: the module has no docstring"
    yield from _undocumented_in(tree)


def _undocumented_in(parent: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef):
            if not ast.get_docstring(node):
                yield f"line {node.lineno}: class {node.name} has no docstring"
            if not node.name.startswith("_"):
                yield from _undocumented_in(node)
        elif isinstance(node, Function) and not node.name.startswith("_"):
            inherits = any("override" in ast.unparse(mark) for mark in node.decorator_list)
            if not inherits and not ast.get_docstring(node):
                yield f"line {node.lineno}: {node.name} has no docstring"


def unstructured(text: str) -> Iterator[str]:
    """Yield the tasks that no TaskGroup owns."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            is_loose = owner == "asyncio" or "loop" in owner
            if node.func.attr in _UNSTRUCTURED and is_loose:
                yield f"line {node.lineno}: {owner}.{node.func.attr}: use a TaskGroup"


def sleeps(text: str) -> Iterator[str]:
    """Yield the sleeps of a test: it must wait for what it wants, not for time to pass."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _SLEEPS:
            yield f"line {node.lineno}: {ast.unparse(node.func)} in a test"


def catches_all(text: str) -> Iterator[str]:
    """Yield the handlers that swallow everything."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        if caught in ("everything", "Exception"):
            yield f"line {node.lineno}: catches {caught}"
        elif caught == "BaseException" and not isinstance(node.body[-1], ast.Raise):
            yield f"line {node.lineno}: catches BaseException and does not raise it again"


def unfinished(text: str) -> Iterator[str]:
    """Yield the notes about work that was left."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _UNFINISHED.search(line):
            yield f"line {number}: {found.group()}"


def names_a_place(text: str) -> Iterator[str]:
    """Yield the paths of a developer's machine and the hosts of package servers."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _PLACES.search(line):
            yield f"line {number}: names a folder of one machine: {found.group()}"
        for host in _HOSTS:
            if host in line:
                yield f"line {number}: names a package server: {host}"


def banned_name(path: Path) -> Iterator[str]:
    """Yield a finding if a module or package is named for nothing in particular."""
    for part in (*path.parts[:-1], path.stem):
        if part in BANNED_MODULES:
            yield f"{part} says nothing about what is inside"


def imported_modules(text: str) -> set[str]:
    """Return the dotted names that a file imports, with `from a import b` as both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def links(text: str) -> set[str]:
    """Return the relative files that a Markdown page links to, without their anchors."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", plain)
    relative = (t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:", t))
    return {target for target in relative if target}


def source_files(text: str) -> list[str]:
    """Return the `package/file.py` and `package/` names in code spans of a page."""
    return sorted(set(re.findall(r"`([a-z_]+/(?:[a-z_/]+\.(?:py|sh))?)[`:]", text)))
