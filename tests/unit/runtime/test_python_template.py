"""A python executable runs as its author expects (contract I.6)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.runtime import inside_out

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
# Stands in for the client, so that the template's own behaviour is what is tested.
DXPY = """
from dxpy.utils import exec_utils
def entry_point(name):
    def keep(function):
        exec_utils.TABLE[name] = function
        return function
    return keep
def run():
    exec_utils.RUN_COUNT += 1
    print("run", exec_utils.TABLE["main"]())
"""


def run(root: Path, code: str) -> subprocess.CompletedProcess[str]:
    package = root / "lib" / "dxpy" / "utils"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text(DXPY)
    (package / "__init__.py").touch()
    (package / "exec_utils.py").write_text("RUN_COUNT = 0\nTABLE = {}\n")
    path = inside_out.put(root, "python_template.py", f"/home/dnanexus/{JOB}")
    path.with_name(f"{JOB}.code.py").write_text(code)
    return inside_out.run(
        sys.executable, path, cwd=path.parent, env={"PYTHONPATH": str(root / "lib")}
    )


def test_dxpy_is_there_and_the_entry_point_is_called(tmp_path: Path) -> None:
    done = run(tmp_path, "@dxpy.entry_point('main')\ndef main():\n    return 3\n")
    assert (done.stdout, done.returncode) == ("run 3\n", 0)


def test_code_that_calls_run_itself_is_not_run_twice(tmp_path: Path) -> None:
    code = "import dxpy\n@dxpy.entry_point('main')\ndef main():\n    return 3\ndxpy.run()\n"
    assert run(tmp_path, code).stdout == "run 3\n"


def test_the_code_is_the_main_module_of_its_own_file(tmp_path: Path) -> None:
    code = (
        "import sys, json\n"
        "print(json.dumps([__name__, __file__, sys.argv, sys.path[0]]))\n"
        "assert sys.modules['__main__'].__dict__ is globals()\n"
        "sys.exit(0)\n"
    )
    name, file, argv, first = json.loads(run(tmp_path, code).stdout)
    home = f"{tmp_path}/home/dnanexus"
    assert (name, file, argv, first) == (
        "__main__",
        f"{home}/{JOB}.code.py",
        [f"{home}/{JOB}.code.py"],
        home,
    )


def test_an_error_shows_the_line_of_the_code(tmp_path: Path) -> None:
    done = run(tmp_path, "\n\nraise ValueError('broken')\n")
    assert done.returncode == 1
    assert f'{JOB}.code.py", line 3, in <module>' in done.stderr
    assert done.stderr.endswith("ValueError: broken\n")


def test_the_code_may_be_in_any_encoding_that_it_declares(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "# -*- coding: utf-8 -*-\nimport sys\nprint(u'ü')\nsys.exit()").stdout
        == "ü\n"
    )


def test_lines_are_seen_while_the_job_runs(tmp_path: Path) -> None:
    code = "import os\nprint('early')\nos._exit(0)\n"
    assert run(tmp_path, code).stdout == "early\n"


@pytest.mark.parametrize("name", ["python_template.py", "install_dependencies.py"])
def test_old_interpreters_can_read_it(name: str) -> None:
    ast.parse((inside_out.RUNTIME / name).read_text(), feature_version=(3, 5))
