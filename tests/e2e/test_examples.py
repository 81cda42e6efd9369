"""The example applets and the tutorial's applet do what their pages say, by `plasmid run`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.e2e


def run(applet: Path, *arguments: str, out: Path) -> tuple[int, dict[str, object], str]:
    """Return the exit code, what --json printed, and the last line of the log."""
    command = [sys.executable, "-P", "-m", "plasmid", "run", str(applet), *arguments]
    ran = subprocess.run(
        [*command, "--json", "--out", str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout), ran.stderr.rstrip().rpartition("\n")[2]


def test_hello_bash_greets_with_the_program_of_its_resources(tmp_path: Path) -> None:
    code, told, _ = run(EXAMPLES / "hello-bash", "-iname=Ada", "-itimes=2", out=tmp_path)
    greeting = tmp_path / "greeting" / "greeting.txt"
    assert greeting.read_text() == "Hello, Ada!\nHello, Ada!\n"
    assert (code, told["output"]) == (0, {"greeting": str(greeting), "length": 24})


def test_hello_python_counts_words_and_returns_a_file(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Lambda phage, lambda reads.\n")
    code, told, _ = run(EXAMPLES / "hello-python", f"-itext={text}", out=tmp_path)
    assert code == 0
    assert told["output"] == {
        "greeting": "Hello, lambda!",
        "words": 4,
        "counts": str(tmp_path / "counts" / "counts.tsv"),
    }
    assert (tmp_path / "counts" / "counts.tsv").read_text() == "lambda\t2\nphage\t1\nreads\t1\n"


def test_hello_python_fails_with_the_error_that_it_raises(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b c\n")
    code, told, last = run(EXAMPLES / "hello-python", f"-itext={text}", out=tmp_path / "out")
    assert (code, told["failureReason"]) == (1, "AppError")
    assert last.endswith("AppError: The text has no word of 4 letters or more")


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """The applet, cut out of the tutorial as a reader would copy it."""
    page = (ROOT / "docs" / "tutorials" / "first-applet.md").read_text()
    (tmp_path / "src").mkdir()
    for language, name in (("json", "dxapp.json"), ("bash", "src/code.sh")):
        block = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
        assert block, f"the tutorial has no {language}"
        (tmp_path / name).write_text(block.group(1))
    return tmp_path


def test_the_tutorials_applet_works_breaks_and_is_mended_as_it_says(tutorial: Path) -> None:
    text = tutorial / "text.txt"
    text.write_text("one\ntwo\n")
    inputs, out = (f"-itext={text}", "-iword=xyzzy"), tutorial / "out"
    assert run(tutorial, inputs[0], out=out)[1]["output"] == {"lines": 2}
    code, told, last = run(tutorial, *inputs, out=out)
    assert (code, told["failureReason"]) == (1, "AppInternalError")
    assert "exit status 1" in last
    program = tutorial / "src" / "code.sh"
    program.write_text(program.read_text().replace('"$text_path")', '"$text_path" || true)'))
    assert run(tutorial, *inputs, out=out)[1]["output"] == {"lines": 0}
