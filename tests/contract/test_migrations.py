"""A migrated database has the tables of a new one; what cannot be migrated is left as it was."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from plasmid.domain.access import Actor, Level
from plasmid.executions import settle
from plasmid.metadata import migrate, settings
from plasmid.metadata.database import Database, DatabaseUnusableError


def tables(connection: sqlite3.Connection) -> dict[str, object]:
    """Return what a database is made of, whoever wrote its statements how."""
    found: dict[str, object] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "table" and not name.startswith("sqlite_"):
            found[name] = (
                connection.execute(f"PRAGMA table_info({name})").fetchall(),
                sorted(re.sub(r"\s+", " ", check) for check in re.findall(r"CHECK .*", sql)),
            )
        elif kind == "index":
            found[name] = (
                connection.execute(f"PRAGMA index_xinfo({name})").fetchall(),
                sql and re.sub(r"\s+", " ", sql),
            )
    return found


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def migrated(path: Path, revision: str) -> None:
    """Make a database by the migrations alone."""
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    return ScriptDirectory.from_config(config)


def test_all_migrations_make_the_tables_of_a_new_database(tmp_path: Path) -> None:
    migrated(tmp_path / "migrated", "head")
    Database(tmp_path / "new").close()
    with opened(tmp_path / "migrated") as old, opened(tmp_path / "new") as new:
        assert tables(old) == tables(new)
        version = "SELECT * FROM alembic_version"
        assert old.execute(version).fetchall() == new.execute(version).fetchall()


def test_the_migrations_are_one_line_that_ends_at_the_head() -> None:
    assert scripts().get_heads() == [migrate.HEAD]
    assert scripts().get_bases() == ["0001"]


async def test_a_database_of_each_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    for script in scripts().walk_revisions():
        path = tmp_path / script.revision
        migrated(path, script.revision)
        with opened(path) as connection:
            connection.execute("INSERT INTO settings VALUES ('kept', 'yes')")
        database = Database(path)
        assert await settings.find_setting(database.reader, "kept") == "yes"
        database.close()
        Database(tmp_path / "new").close()
        with opened(path) as old, opened(tmp_path / "new") as new:
            assert tables(old) == tables(new)


# --------------------------------------------------------------------- what rows of old become


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Add a row: what is not given and must not be missing is an empty JSON object."""
    columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    row = {name: "{}" for _, name, _, is_required, *_ in columns if is_required} | values
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)


def test_tokens_of_jobs_and_narrowed_ones_of_before_there_were_apps_make_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plasmid.sqlite"
    migrated(path, "0002")
    whole: dict[str, object] = {"user": "user-a", "scope": None, "may_create_projects": True}
    actors = {
        "whole": whole,
        "narrowed": whole | {"scope": {"*": 1}},
        "nowhere": whole | {"scope": {}},
        "job": whole | {"job": "job-1"},
    }
    with opened(path) as connection:
        for name, actor in actors.items():
            content = json.dumps(actor)
            insert(connection, "tokens", hash=name, actor=content, job=actor.get("job"))
    Database(path).close()
    with opened(path) as connection:
        kept = dict(connection.execute("SELECT hash, actor FROM tokens"))
    found = {name: msgspec.json.decode(actor, type=Actor) for name, actor in kept.items()}
    assert {name for name, actor in found.items() if actor.may_develop} == {"whole"}
    assert all(actor.user == "user-a" for actor in found.values())
    assert all(actor.may_create_projects for actor in found.values())
    assert found["narrowed"].scope == {"*": Level.VIEW}
    assert found["job"].job == "job-1"


def test_workspaces_that_were_kept_after_their_tree_go_three_days_after_the_upgrade(
    tmp_path: Path,
) -> None:
    path = tmp_path / "plasmid.sqlite"
    migrated(path, "0002")
    with opened(path) as connection:
        for tree, states in (("over", ("done", "terminated")), ("going", ("done", "running"))):
            for number, state in enumerate(states):
                job, workspace = f"job-{tree}-{number}", f"container-{tree}-{number}"
                fields = {"root_execution": f"job-{tree}-0", "workspace": workspace}
                insert(connection, "jobs", id=job, state=state, **fields)
                insert(connection, "containers", id=workspace, class_name="container")
        insert(connection, "containers", id="project-x", class_name="project")
    before_ms = int(time.time()) * 1000
    Database(path).close()
    after_ms = int(time.time()) * 1000
    with opened(path) as connection:
        times = dict(connection.execute("SELECT id, destroy_at_ms FROM containers"))
    going = {name: at_ms for name, at_ms in times.items() if at_ms is not None}
    assert set(going) == {"container-over-0", "container-over-1"}
    for at_ms in going.values():
        assert before_ms <= at_ms - settle.WORKSPACE_KEPT_MS <= after_ms


# ----------------------------------------------------------------- a next version, made up here

NEXT = """
from alembic import op
import sqlalchemy as sa

revision = '9999'
down_revision = '{head}'

def upgrade():
    op.add_column('settings', sa.Column('more', sa.Text))
    op.execute("UPDATE settings SET more = 'added'")
    {step}
"""
CURRENT = migrate.HEAD


def next_script(step: str = "") -> str:
    return NEXT.format(head=CURRENT, step=step)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a database of this version, to be opened by a Plasmid that has one more."""
    path = tmp_path / "plasmid.sqlite"
    Database(path).close()
    with opened(path) as connection:
        connection.execute("INSERT INTO settings VALUES ('kept', 'yes')")
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    monkeypatch.setattr(migrate, "HEAD", "9999")
    (scripts / "versions" / "9999_next.py").write_text(next_script())
    return path


async def test_an_upgrade_keeps_what_there_is_and_is_done_once(next_version: Path) -> None:
    for _ in range(2):
        database = Database(next_version)
        assert await settings.find_setting(database.reader, "kept") == "yes"
        database.close()
        with opened(next_version) as connection:
            found = connection.execute("SELECT * FROM settings").fetchall()
            assert found == [("kept", "yes", "added")]
            assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("9999",)]


async def test_an_upgrade_that_breaks_changes_nothing_and_says_so(next_version: Path) -> None:
    script = migrate.SCRIPTS / "versions" / "9999_next.py"
    script.write_text(next_script('op.execute("INSERT INTO nowhere VALUES (1)")'))
    with opened(next_version) as connection:
        before = tables(connection)
    with pytest.raises(DatabaseUnusableError) as caught:
        Database(next_version)
    message = str(caught.value)
    assert str(next_version) in message
    assert f"from version {CURRENT} to 9999" in message
    assert "nowhere" in message
    assert "nothing was changed" in message
    assert "\n" not in message
    with opened(next_version) as connection:
        assert tables(connection) == before
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(CURRENT,)]


async def test_a_database_of_a_newer_plasmid_is_refused_and_left_alone(
    next_version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(next_version).close()
    monkeypatch.undo()
    before = next_version.read_bytes()
    with pytest.raises(DatabaseUnusableError) as caught:
        Database(next_version)
    message = str(caught.value)
    assert str(next_version) in message
    assert f"newer Plasmid (version 9999; this one knows up to {CURRENT})" in message
    assert "\n" not in message
    assert next_version.read_bytes() == before


def test_a_new_database_does_not_need_alembic() -> None:
    """It takes 0.2 s to import, which every start would pay."""
    source = Path(importlib.import_module("plasmid.metadata.migrate").__file__ or "").read_text()
    assert not re.search(r"^(from|import) alembic", source, re.MULTILINE)
