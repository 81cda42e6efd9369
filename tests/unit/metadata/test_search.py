"""Pages of data objects: the same by every index, and stable while others write (contract A.10)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from plasmid.domain import archival, conditions, filters, globs
from plasmid.metadata import search
from plasmid.metadata.database import Database
from plasmid.metadata.rows import ObjectRow, PlacementRow

PROJECTS: Final = [f"project-{letter * 24}" for letter in "BFG"]
NAMES: Final = ("x1", "x2", "X1", "xy", "y", 'q"uo\\te', "ä%_", "x")
WORDS: Final = ("red", 'r"ed', "re", "[]", "röt", "a,b", "\\")
CLASSES: Final = ("file", "record", "applet")
FOLDERS: Final = ("/", "/a", "/a/b", "/a!", "/a0")
QUESTIONS: Final[list[dict[str, Any]]] = [
    {},
    *({"name": {"glob": glob}} for glob in ("x*", "x1", "*1", "?", 'q"*', "ä%*", "z*", "")),
    {"name": "x1"},
    {"name": {"regexp": "^x"}},
    *({"tags": word} for word in WORDS),
    {"tags": {"$and": ["red", {"$or": ["re", "röt"]}]}},
    {"type": {"$or": ["red", "re"]}},
    {"properties": {"red": True}},
    {"properties": {"red": False}},
    {"properties": {'r"ed': "re"}},
    {"properties": {"$or": [{"red": "a,b"}, {"re": True}]}},
    {"properties": {"$and": []}},
    {"tags": {"$or": []}},
    *({"class": name} for name in CLASSES),
    {"class": "file", "name": {"glob": "x*"}, "tags": "red"},
    *({"scope": {"project": PROJECTS[0], "folder": folder}} for folder in FOLDERS),
    {"scope": {"project": PROJECTS[0], "folder": "/a", "recurse": False}, "name": "x1"},
    {"created": {"after": 40}},
    {"created": {"after": 20, "before": 60}, "modified": {"after": 50}},
    {"visibility": "hidden"},
    {"visibility": "either", "state": "open"},
    {"id": [f"file-{number:024d}" for number in range(0, 200, 3)]},
    {"class": "file", "scope": {"project": PROJECTS[1]}, "archivalState": "archived"},
]
SORTS: Final[list[Any]] = [None] + [
    {"field": field, "ordering": ordering}
    for field in ("created", "modified", "name")
    for ordering in ("ascending", "descending")
]
Row = tuple[ObjectRow, PlacementRow]


@pytest.fixture
async def stored(tmp_path: Path) -> Any:
    """A database in a file with objects of all kinds, and these."""
    chance = random.Random(7)
    database = Database(tmp_path / "plasmid.sqlite")
    made: list[Row] = []
    async with database.transaction() as tx:
        for number in range(150):
            class_name = chance.choice(CLASSES)
            thing = ObjectRow(
                id=f"{class_name}-{number:024d}",
                class_name=class_name,
                state=chance.choice(("open", "closed")),
                hidden=chance.random() < 0.1,
                types=chance.sample(WORDS, chance.randrange(3)),
                details={},
                links=[],
                created_ms=chance.randrange(80),
                created_by="user-alice",
                created_by_job=None,
                created_by_executable=None,
                media=None,
                size_bytes=None,
                body={},
            )
            await tx.add(thing)
            for project in chance.sample(PROJECTS, chance.randrange(1, 3)):
                place = PlacementRow(
                    container=project,
                    object=thing.id,
                    folder=chance.choice(FOLDERS),
                    name=chance.choice(NAMES),
                    tags=chance.sample(WORDS, chance.randrange(3)),
                    properties={
                        key: chance.choice(WORDS)
                        for key in chance.sample(WORDS, chance.randrange(3))
                    },
                    modified_ms=thing.created_ms + chance.randrange(20),
                    archival_state=chance.choice((None, None, archival.ARCHIVED)),
                )
                await tx.add(place)
                made.append((thing, place))
    yield database, made
    database.close()


async def pages(database: Database, body: dict[str, Any], limit: int) -> list[search.Found]:
    """Return all that a question finds, page after page, without what the caller looks at."""
    question = filters.read_data_objects(body)
    containers = PROJECTS if question.scope is None else [question.scope.project]
    found: list[search.Found] = []
    after = None
    while True:
        part = await search.find_data_objects(
            database.reader.aside, question, containers, after=after, limit=limit, now_ms=100
        )
        found += part.found
        if part.after is None:
            return found
        after = part.after


def expected(made: list[Row], body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a question means, in order, by looking at each object."""
    question = filters.read_data_objects(body)
    chosen = [row for row in made if holds(question, *row)]
    field = question.sort.field if question.sort else "modified"
    descending = question.sort.descending if question.sort else True

    def key(row: Row) -> Any:
        return {"created": row[0].created_ms, "modified": row[1].modified_ms,
                "name": row[1].name}[field]  # fmt: skip

    chosen.sort(key=lambda row: row[0].id)
    chosen.sort(key=key, reverse=descending)
    if descending:  # a reversed sort keeps the order of equals, which is that of ids
        assert [key(row) for row in chosen] == sorted(map(key, chosen), reverse=True)
    chosen.sort(key=lambda row: row[1].container)
    return [(place.container, thing.id) for thing, place in chosen]


def holds(question: filters.DataObjects, thing: ObjectRow, place: PlacementRow) -> bool:
    scope = question.scope
    is_inside = scope is None or (
        place.container == scope.project
        and (
            place.folder == scope.folder
            or (scope.recurse and place.folder.startswith(scope.folder.rstrip("/") + "/"))
        )
    )
    wanted = (
        (question.types, conditions.among(thing.types)),
        (question.tags, conditions.among(place.tags)),
        (question.properties, conditions.within(place.properties)),
    )
    return (
        is_inside
        and all(each is None or conditions.evaluate(each, has) for each, has in wanted)
        and question.class_name in (None, thing.class_name)
        and question.state in (None, thing.state)
        and question.hidden in (None, thing.hidden)
        and (question.ids is None or thing.id in question.ids)
        and question.archival_state in (None, place.archival_state)
        and question.created.hold(thing.created_ms)
        and question.modified.hold(place.modified_ms)
        and (question.name is None or globs.matcher(question.name)(place.name))
    )


@pytest.mark.parametrize("few", [0, 10, 10**6])
@pytest.mark.parametrize("stretch", [1, 7, 2_000])
async def test_every_way_to_the_objects_finds_the_same_in_the_same_order(
    stored: tuple[Database, list[Row]], few: int, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, made = stored
    monkeypatch.setattr(search, "FEW", few)
    monkeypatch.setattr(search, "FEW_IN_FOLDER", few)
    monkeypatch.setattr(search, "STRETCH_MIN", stretch)
    monkeypatch.setattr(search, "LOOKED_AT_MAX", 10 * stretch)
    lengths = set()
    for number, question in enumerate(QUESTIONS):
        for sort in SORTS if number % 8 == 0 else SORTS[:1]:
            body = {**question, "sortBy": sort}
            pattern = filters.read_data_objects(body).name
            found = [
                (row.container, row.object)
                for row in await pages(database, body, 17)
                if pattern is None or globs.matcher(pattern)(row.name)
            ]
            assert found == expected(made, body), body
            lengths.add(len(found))
    assert max(lengths) > 100, "the test looks at hardly anything"


async def test_writes_between_pages_neither_repeat_nor_lose_what_was_there_all_the_time(
    stored: tuple[Database, list[Row]],
) -> None:
    database, made = stored
    chance = random.Random(3)
    there = {(place.container, thing.id) for thing, place in made}
    question = filters.read_data_objects({"visibility": "either"})
    seen: list[tuple[str, str]] = []
    after, changed = None, set()
    while True:
        part = await search.find_data_objects(
            database.reader.aside, question, PROJECTS, after=after, limit=5, now_ms=100
        )
        seen += [(row.container, row.object) for row in part.found]
        if part.after is None:
            break
        after = part.after
        changed |= await write(database, chance)
    assert len(seen) == len(set(seen)), "a result was repeated"
    stayed = there - changed
    assert stayed - set(seen) == set(), "a result was lost"
    assert len(stayed) > 50


async def write(database: Database, chance: random.Random) -> set[tuple[str, str]]:
    """Remove a place, change one, and add one; return those that were there."""
    rows = await database.reader.rows(sa.text("SELECT container, object FROM placements"))
    gone, moved = chance.sample([(row[0], row[1]) for row in rows], 2)
    async with database.transaction() as tx:
        where = "WHERE container = :c AND object = :o"
        values = {"c": gone[0], "o": gone[1]}
        await tx.execute(sa.text(f"DELETE FROM placements {where}"), values)
        values = {"c": moved[0], "o": moved[1]}
        changes = "SET modified_ms = 1000, name = 'moved'"
        await tx.execute(sa.text(f"UPDATE placements {changes} {where}"), values)
        copy = "SELECT :new, object, folder, name, tags, properties, :t, NULL, NULL"
        await tx.execute(
            sa.text(f"INSERT OR IGNORE INTO placements {copy} FROM placements {where}"),
            {**values, "new": chance.choice(PROJECTS), "t": chance.randrange(100)},
        )
    return {gone, moved}


async def test_a_walk_past_many_that_are_not_meant_ends_early_and_goes_on_behind(
    stored: tuple[Database, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, made = stored
    monkeypatch.setattr(search, "STRETCH_MIN", 10)
    monkeypatch.setattr(search, "STRETCH_MAX", 10)
    monkeypatch.setattr(search, "LOOKED_AT_MAX", 20)
    body = {"name": {"glob": "*none*"}, "visibility": "either"}
    question = filters.read_data_objects(body)
    after, parts = None, 0
    while True:
        part = await search.find_data_objects(
            database.reader.aside, question, PROJECTS, after=after, limit=5, now_ms=100
        )
        assert part.found == []
        parts += 1
        if part.after is None:
            break
        after = part.after
    assert len(made) / 20 - 1 <= parts <= len(made) / 20 + 1


@pytest.mark.parametrize(
    ("body", "index"),
    [
        ({"state": "open"}, "objects_open"),
        ({"visibility": "hidden"}, "objects_hidden"),
        ({"name": {"glob": "*x*"}}, "COVERING INDEX placements_modified"),
    ],
)
async def test_what_few_objects_are_is_asked_of_an_index(
    stored: tuple[Database, list[Row]], body: dict[str, Any], index: str
) -> None:
    database, _ = stored
    told: list[str] = []
    database.reader.aside._connection.set_trace_callback(told.append)
    await pages(database, body, 5)
    database.reader.aside._connection.set_trace_callback(None)
    plans = [
        str(row[-1])
        for statement in told
        for row in await database.reader.rows(sa.text(f"EXPLAIN QUERY PLAN {statement}"))
    ]
    assert any(index in step for step in plans), plans
    assert not any(step.startswith("SCAN objects") and "USING" not in step for step in plans)
