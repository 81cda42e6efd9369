"""What a replay prints is harmless, whoever wrote what it quotes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plasmid.cli import replay, replay_command, replay_shell
from plasmid.cli.trouble import CommandError
from plasmid.domain.replays import Line, Outcome
from tests.unit.domain.test_replays import JOB, a_capture

HOSTILE = "a\x1b]52;c;ZXZpbA==\x07\x9b2Jb"


def test_messages_and_lines_of_a_job_do_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    then = Outcome(state="failed", reason="AppError", message=HOSTILE, lines=[])
    now = msgspec.structs.replace(
        then, message=f"{HOSTILE} now", lines=[Line("STDOUT", HOSTILE), Line("STDERR", "\r\nx")]
    )
    capture = msgspec.structs.replace(a_capture(), outcome=then)
    replay._tell(capture, now, replay.Request(job=JOB))
    said = capsys.readouterr().err
    assert "+a\\x1b]52;c;" in said
    assert "message then: a\\x1b]52" in said
    assert all(line.isprintable() for line in said.splitlines())


def test_the_greeting_of_a_shell_names_the_job_harmlessly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    replay_shell._greet(a_capture(name=HOSTILE).run, HOSTILE)
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert all(line.isprintable() for line in said.splitlines())


def test_an_error_quotes_a_name_harmlessly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLASMID_HOME", str(tmp_path))
    with pytest.raises(CommandError) as caught:
        replay_command.replay(bundle=tmp_path / HOSTILE)
    assert caught.value.exit_code == 2
    assert "No such file" in str(caught.value)
    assert str(caught.value).isprintable()
