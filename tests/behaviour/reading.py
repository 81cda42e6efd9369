"""Read the tables of cases in `cases/*.txt`.

A line is a case, of five columns: section of the contract | caller | set-up | call | answer.
Lines that begin with a space go on with the line before; `#` begins a comment.

    C.7 | viewer | folder /a | /$project/newFolder {folder: /a/b} | 401 PermissionDenied

The set-up is a list of steps, separated by semicolons (steps.py has them; a step that begins with
`/` is a call). A step gives a name to what it makes, its last word unless `NAME =` says another,
and `$NAME` stands for it from there on. Callers are those of `CALLERS`. The call is a route and a
body in YAML's flow style, `!raw TEXT` for a body that is no JSON, with `GET`, `PUT`, ... before
the route and `!headers {...}` after it where they matter. matching.py has the forms of an answer.

A grid is many cases that differ in two places, each with its own expected answer:

    :grid E.1 | owner | applet {in: {x: <row>}} | /$applet/run {input: {x: <col>}} | <cell>
    :cols  | 1   | 1.5 | "a"
    int    | yes | no  | no
    float  | yes | yes | no

Its cells are words of `SHORT`, or what belongs into `<cell>`; `-` is no case. A blank line ends it.
`:shared NAME = STEPS` names a set-up that is made once for all cases that say `use NAME`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

CASES = Path(__file__).with_name("cases")
# cases that do not hold yet: `area | section | caller | set-up | call | answer`, each written as
# in its table with the places of a grid filled in; they are left out of every run
PENDING = Path(__file__).with_name("pending.txt")
CALLERS = (
    "owner",  # the first token's user, who makes everything
    "stranger",  # the second token's user
    "viewer",  # the same with that level on the project
    "uploader",
    "contributor",
    "administrator",
    "anonymous",  # no token
    "nobody",  # a token that is none
    "job",  # the token of the running job of the set-up
)
SHORT = {
    "yes": "200",
    "no": "422 InvalidInput",
    "state": "422 InvalidState",
    "type": "422 InvalidType",
    "denied": "401 PermissionDenied",
    "login": "401 InvalidAuthentication",
    "hidden": "404 ResourceNotFound",
    "json": "400 MalformedJSON",
}
_SECTION = re.compile(r"[A-Q](\.\d+)*")
_BAR = re.compile(r"(?<=\s)\|(?=\s)")


@dataclasses.dataclass(frozen=True)
class Case:
    """One call and what it is answered."""

    where: str
    section: str
    caller: str
    setup: str
    call: str
    answer: str

    @property
    def area(self) -> str:
        """The table it stands in."""
        return self.where.partition(":")[0]

    @property
    def key(self) -> tuple[str, ...]:
        """What it says, wherever it stands."""
        return (self.area, self.section, self.caller, self.setup, self.call, self.answer)


@dataclasses.dataclass
class Table:
    """What one file says."""

    cases: list[Case]
    shared: dict[str, str]


class TableError(Exception):
    """A line is not what the head of this file says."""


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers: no comments, each with those that go on with it."""
    number, held = 0, ""
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            continue
        if line.startswith(" ") and line.strip() and held:
            held = f"{held} {line.strip()}"
            continue
        if number:
            yield number, held
        number, held = index, line.rstrip()
    if number:
        yield number, held


def read(path: Path) -> Table:
    """Read a file; raises TableError for what cannot be understood."""
    table, grid = Table([], {}), None
    for number, line in lines_of(path):
        where = f"{path.stem}:{number}"
        if not line:
            grid = None
        elif line.startswith(":shared "):
            name, _, steps = line.removeprefix(":shared ").partition("=")
            table.shared[name.strip()] = steps.strip()
        elif line.startswith(":grid "):
            grid = _Grid(_columns(where, line.removeprefix(":grid "), 5))
        elif grid is not None and line.startswith(":cols"):
            grid.headings = _split(line)[1:]
        elif grid is not None:
            table.cases += grid.row(where, _split(line))
        else:
            table.cases.append(_case(where, _columns(where, line, 5)))
    return table


def read_all(folder: Path = CASES) -> dict[str, Table]:
    """Return {area: table}."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.txt"))}


def read_pending(path: Path = PENDING) -> set[tuple[str, ...]]:
    """Return the keys of the cases that are left out."""
    return {tuple(_split(line)) for _, line in lines_of(path) if line} if path.exists() else set()


def _split(line: str) -> list[str]:
    return [part.strip() for part in _BAR.split(f"{line} ")]


def _columns(where: str, line: str, count: int) -> list[str]:
    parts = _split(line)
    if len(parts) != count:
        raise TableError(f"{where}: {len(parts)} columns instead of {count}: {line}")
    return parts


def _case(where: str, columns: list[str]) -> Case:
    section, caller, setup, call, answer = columns
    if not _SECTION.fullmatch(section):
        raise TableError(f"{where}: {section!r} is no section of the contract")
    if caller not in CALLERS:
        raise TableError(f"{where}: {caller!r} is no caller")
    return Case(where, section, caller, setup, call, SHORT.get(answer, answer))


class _Grid:
    def __init__(self, template: list[str]) -> None:
        self.template = template
        self.headings: list[str] = []

    def row(self, where: str, cells: list[str]) -> list[Case]:
        heading, *answers = cells
        if len(answers) != len(self.headings):
            raise TableError(f"{where}: {len(answers)} cells under {len(self.headings)} columns")
        return [
            self._cell(f"{where}.{index}", heading, column, answer)
            for index, (column, answer) in enumerate(zip(self.headings, answers, strict=True), 1)
            if answer != "-"
        ]

    def _cell(self, where: str, row: str, column: str, answer: str) -> Case:
        filled = [
            text.replace("<row>", row).replace("<col>", column).replace("<cell>", answer)
            for text in self.template
        ]
        if answer in SHORT:
            filled[-1] = answer
        return _case(where, filled)
