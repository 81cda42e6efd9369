"""`plasmid env --write`: what dx keeps, and who may read it (contract J.1)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.bootstrap import Keys
from plasmid.cli import env
from plasmid.cli.serve import SERVER_FILE
from plasmid.cli.trouble import CommandError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder on which a server seems to run; dx's own folder is beside it."""
    monkeypatch.setenv("DX_USER_CONF_DIR", str(tmp_path / "conf"))
    folder = tmp_path / "data"
    folder.mkdir()
    fields = {field.name: f"a {field.name}" for field in msgspec.structs.fields(Keys)}
    fields["user"] = "user-alice"
    (folder / "keys.json").write_bytes(msgspec.json.encode(fields))
    running = {"url": "http://127.0.0.1:8124", "pid": 1}
    (folder / SERVER_FILE).write_bytes(msgspec.json.encode(running))
    return folder


def test_what_dx_keeps_is_readable_by_its_user_only_whoever_could_before(
    data: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "conf" / "environment.json"
    kept.parent.mkdir()
    kept.write_text('{"DX_CLI_WD": "/", "DX_USERNAME": "old"}')
    kept.chmod(0o644)
    env.show(data, write=True)
    assert kept.stat().st_mode & 0o777 == 0o600
    found = msgspec.json.decode(kept.read_bytes())
    assert (found["DX_CLI_WD"], found["DX_USERNAME"]) == ("/", "alice")


def test_what_is_no_json_is_left_as_it_is(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "conf" / "environment.json"
    kept.parent.mkdir()
    for text in ("{", "[]"):
        kept.write_text(text)
        with pytest.raises(CommandError, match="remove it"):
            env.show(data, write=True)
        assert kept.read_text() == text
