"""The site's secrets come from a file, anew for each try."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid import bootstrap, config
from plasmid.logs import secret_values


class Told:
    """What was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, str]]] = []

    def warning(self, event: str, **more: str) -> None:
        self.events.append((event, more))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(secret_values, "_log", told)
    return told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secrets"
    path.touch(mode=0o600)
    return path


def test_each_line_is_a_value_and_is_read_anew(path: Path) -> None:
    path.write_text("one line\n\n  spaces count \n")
    values = secret_values.SecretValues(path)
    assert values.read() == ["one line", "  spaces count "]
    path.write_text("another\n")
    assert values.read() == ["another"]


def test_a_file_that_is_gone_later_counts_as_it_was(path: Path, told: Told) -> None:
    path.write_text("value\n")
    values = secret_values.SecretValues(path)
    path.unlink()
    assert values.read() == ["value"]
    assert [event for event, _ in told.events] == ["secrets_file_unreadable"]


def test_what_cannot_be_masked_and_what_others_can_read_is_told_without_the_value(
    path: Path, told: Told
) -> None:
    path.write_text("abc\nlong enough\n")
    path.chmod(0o644)
    values = secret_values.SecretValues(path)
    assert values.read() == ["long enough"]
    assert [event for event, _ in told.events] == ["secret_not_masked", "secrets_file_open"]
    assert "line 1" in told.events[0][1]["reason"]
    assert "abc" not in told.events[0][1]["reason"]
    assert f"chmod 600 {path}" in told.events[1][1]["remedy"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
async def test_a_server_does_not_start_without_its_secrets(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secrets"
    if content is not None:
        path.write_bytes(content)
    settings = config.load({"PLASMID_LOGS_SECRETS_FILE": str(path)})
    with pytest.raises(config.ConfigError, match=r"\[logs\] secrets_file"):
        await bootstrap.open_platform(settings, tmp_path / "data")
