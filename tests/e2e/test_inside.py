"""What a job finds around it: variables, files, arrays, helpers (contract I.1-I.6, I.8)."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from tests.e2e.driver import Dx, Ended, field, file, lines_of

pytestmark = pytest.mark.e2e

AROUND = r"""
main() {
  for name in DX_JOB_ID DX_WORKSPACE_ID DX_PROJECT_CONTEXT_ID DX_RESOURCES_ID HOME PWD LANG; do
    echo "$name=${!name-unset}"
  done
  echo "zero=$0 source=${BASH_SOURCE[0]}"
  echo "options=$-"
  echo "host=$(hostname) user=$(id -un) sudo=$(sudo id -un)"
  echo "nobody=$(sudo -u nobody id -un)"
  echo "job=$(jq -r .id dnanexus-job.json) app=$(jq -r .name dnanexus-executable.json)"
  echo "input=$(jq -c . job_input.json)"
  echo "context=$(jq -r .auth_token_type <<< "$DX_SECURITY_CONTEXT")"
  echo "sockets=$(echo /opt/dnanexus/log/*)"
  env -i bash -c '. /home/dnanexus/environment; echo "sourced=$DX_JOB_ID"'
  kill $(ps aux | grep pcp-dstat | head -n1 | awk '{print $2}') && echo killed
}
"""
VALUES = r"""
show() { declare -p "$1" 2> /dev/null | sed "s/^declare -[a-z]* //" || echo "$1 unset"; }
main() {
  for name in s n x b h texts none f f_name f_prefix f_path fs fs_name fs_prefix fs_path; do
    show $name
  done
  echo "PATH is $([ "$PATH" = mine ] && echo theirs || echo ours)"
  [ -z "${missing+set}" ] && echo "missing is unset"
  echo "first is $f"
}
"""


class TestAround:
    @pytest.fixture(scope="class")
    @classmethod
    def job(cls, dx: Dx) -> Ended:
        return dx.ran(AROUND, name="around", input={"n": 1})

    def test_the_variables_are_those_of_the_job(self, dx: Dx, job: Ended) -> None:
        found = dict(text.split("=", 1) for text in job.said() if "=" in text)
        describe = job.describe
        assert {name: found[name] for name in list(found)[:7]} == {
            "DX_JOB_ID": describe["id"],
            "DX_WORKSPACE_ID": describe["workspace"],
            "DX_PROJECT_CONTEXT_ID": dx.project,
            "DX_RESOURCES_ID": "unset",
            "HOME": "/home/dnanexus",
            "PWD": "/home/dnanexus",
            "LANG": "C.UTF-8",
        }
        assert found["context"] == "Bearer"
        assert found["sourced"] == describe["id"]

    def test_the_code_is_sourced_by_its_wrapper(self, job: Ended) -> None:
        wrapper = f"/home/dnanexus/{job.describe['id']}"
        assert f"zero={wrapper} source={wrapper}.code.sh" in job.said()
        (options,) = lines_of(job.said(), "options=")
        assert "e" in options
        assert "x" not in options

    def test_the_user_is_root_on_a_host_named_for_the_job(self, job: Ended) -> None:
        assert f"host={job.describe['id']} user=root sudo=root" in job.said()
        assert "nobody=nobody" in job.said()

    def test_the_files_describe_job_executable_and_input(self, job: Ended) -> None:
        assert f"job={job.describe['id']} app=around" in job.said()
        assert 'input={"n":1}' in job.said()
        assert "sockets=/opt/dnanexus/log/bulk /opt/dnanexus/log/priority" in job.said()

    def test_the_process_that_apps_replace_is_there_to_be_killed(self, job: Ended) -> None:
        assert "killed" in job.said()
        assert job.state == "done"


class TestInputsAsVariables:
    ids: ClassVar[tuple[str, str]]
    stderr: ClassVar[list[str]]

    @pytest.fixture(scope="class")
    @classmethod
    def said(cls, dx: Dx) -> list[str]:
        """What a job says of inputs of every class."""
        one, two = dx.upload("reads.tar.gz", "1"), dx.upload("b c.bam", "2")
        given: dict[str, Any] = {"s": "it's $HOME `x`", "n": 3, "x": 1.5, "b": True}
        given |= {"h": {"k": [1, "v w"]}, "texts": ["a b", "c'd"], "none": [], "PATH": "mine"}
        given |= {"f": file(one), "fs": [file(two)] * 11}
        classes = {"s": "string", "n": "int", "x": "float", "b": "boolean", "h": "hash"}
        classes |= {"texts": "array:string", "none": "array:int", "f": "file", "PATH": "string"}
        spec = [field(name, class_name) for name, class_name in classes.items()]
        spec += [field("fs", "array:file", patterns=["*.bam"])]
        spec += [field("missing", "string", optional=True)]
        ended = dx.ran(VALUES, inputSpec=spec, input=given)
        cls.ids = (one, two)
        cls.stderr = ended.said("STDERR")
        return ended.said()

    def test_plain_values_are_text_or_json(self, said: list[str]) -> None:
        assert said[:5] == [
            r's="it\'s \$HOME \`x\`"'.replace(r"\'", "'"),
            'n="3"',
            'x="1.5"',
            'b="true"',
            r'h="{\"k\": [1, \"v w\"]}"',
        ]

    def test_arrays_are_arrays(self, said: list[str]) -> None:
        assert said[5:7] == ['texts=([0]="a b" [1]="c\'d")', "none=()"]

    def test_a_file_is_an_array_of_one_with_name_prefix_and_path(self, said: list[str]) -> None:
        link = json.dumps({"$dnanexus_link": self.ids[0]}).replace('"', r"\"").replace("$", r"\$")
        assert said[7:11] == [
            f'f=([0]="{link}")',
            'f_name=([0]="reads.tar.gz")',
            'f_prefix=([0]="reads")',
            'f_path=([0]="/home/dnanexus/in/f/reads.tar.gz")',
        ]
        assert said[-1] == f"first is {json.dumps({'$dnanexus_link': self.ids[0]})}"

    def test_the_folders_of_an_array_have_numbers_of_one_width(self, said: list[str]) -> None:
        (paths,) = lines_of(said, "fs_path=")
        assert '[0]="/home/dnanexus/in/fs/00/b c.bam"' in paths
        assert '[10]="/home/dnanexus/in/fs/10/b c.bam"' in paths
        (prefixes,) = lines_of(said, "fs_prefix=")
        assert prefixes.startswith('([0]="b c" [1]="b c"')

    def test_a_variable_that_is_there_already_stays(self, said: list[str]) -> None:
        assert "PATH is ours" in said
        assert any("(PATH) would cause a name collision" in text for text in self.stderr)

    def test_an_optional_input_that_is_not_given_is_unset(self, said: list[str]) -> None:
        assert "missing is unset" in said


class TestCodeWithoutMain:
    def test_the_top_level_runs_and_its_end_is_the_jobs(self, dx: Dx) -> None:
        ended = dx.ran("echo top; dx-jobutil-add-output o done")
        assert (ended.said(), ended.output) == (["top"], {"o": "done"})
        assert "Not invoking entry point function main" in ended.said("STDERR")[-1]

    def test_options_that_the_code_sets_stay_set(self, dx: Dx) -> None:
        ended = dx.ran("set -o pipefail\nmain() { false | true; echo reached; }")
        assert (ended.state, ended.said()) == ("failed", [])

    def test_exit_zero_ends_a_job_well(self, dx: Dx) -> None:
        ended = dx.ran("main() { echo before; exit 0; echo after; }")
        assert (ended.state, ended.said()) == ("done", ["before"])


class TestPython:
    def test_dxpy_is_there_and_the_entry_point_is_called(self, dx: Dx) -> None:
        code = """
import os, sys
@dxpy.entry_point("main")
def main(n, **rest):
    print(__name__, os.path.basename(__file__), os.getcwd(), rest)
    return {"m": n + 1, "f": dxpy.upload_string("x", name="made.txt", wait_on_close=True)}
"""
        spec = [field("m", "int"), field("f", "file")]
        ended = dx.ran(code, interpreter="python3", input={"n": 1, "k": "v"}, outputSpec=spec)
        job = ended.describe["id"]
        assert ended.said()[-1] == f"__main__ {job}.code.py /home/dnanexus {{'k': 'v'}}"
        assert ended.output["m"] == 2
        assert dx("cat", "made.txt").out == "x"

    def test_nothing_returned_is_no_output(self, dx: Dx) -> None:
        code = 'import dxpy\n@dxpy.entry_point("main")\ndef main():\n    pass\ndxpy.run()\n'
        assert dx.ran(code, interpreter="python3").output == {}

    def test_code_that_calls_nothing_fails(self, dx: Dx) -> None:
        ended = dx.ran("def main():\n    pass\n", interpreter="python3")
        assert ended.why.startswith("AppInternalError: KeyError: 'main'; replay it: ")

    def test_log_handlers_reach_the_log(self, dx: Dx) -> None:
        code = (
            'import logging\n@dxpy.entry_point("main")\ndef main():\n'
            '    logging.warning("careful")\n    logging.critical("alas")\n'
        )
        ended = dx.ran(code, interpreter="python3")
        assert set(ended.said("WARNING", "CRITICAL")) == {"careful", "alas"}


class TestHelpers:
    def test_inputs_come_and_outputs_go_by_the_helpers(self, dx: Dx) -> None:
        code = """
main() {
  dx-download-all-inputs --parallel --except skipped
  find in -type f | sort
  mkdir -p out/one out/many/sub/deep
  cp "$f_path" "out/one/$f_prefix.res"
  echo 1 > out/many/1; echo 2 > out/many/sub/2; echo 3 > out/many/sub/deep/3
  dx-upload-all-outputs --parallel
}
"""
        given = dx.upload("given.txt", "content")
        ended = dx.ran(
            code,
            input={"f": file(given), "fs": [file(given)], "skipped": file(given)},
            inputSpec=[field("f", "file"), field("fs", "array:file"), field("skipped", "file")],
            outputSpec=[field("one", "file"), field("many", "array:file")],
        )
        assert [text for text in ended.said() if text.startswith("in/")] == [
            "in/f/given.txt",
            "in/fs/0/given.txt",
        ]
        assert len(ended.output["many"]) == 3
        assert dx("cat", "/given.res", "/1", "/sub/2", "/sub/deep/3").out == "content1\n2\n3\n"

    def test_uploading_all_of_nothing_is_fine(self, dx: Dx) -> None:
        ended = dx.ran("dx-jobutil-add-output o 1 --class int; dx-upload-all-outputs")
        assert (ended.state, ended.output) == ("done", {"o": 1})

    def test_outputs_are_added_one_by_one(self, dx: Dx) -> None:
        code = """
main() {
  dx-jobutil-add-output ns 1 --class int --array
  dx-jobutil-add-output ns 2 --class int --array
  dx-jobutil-add-output x 1.5 --class float
  dx-jobutil-add-output b true --class boolean
  dx-jobutil-add-output h '{"k": "v"}' --class hash
}
"""
        spec = {"ns": "array:int", "x": "float", "b": "boolean", "h": "hash"}
        ended = dx.ran(code, outputSpec=[field(*entry) for entry in spec.items()])
        assert ended.output == {"ns": [1, 2], "x": 1.5, "b": True, "h": {"k": "v"}}

    def test_bytes_stream_through_pipes_in_and_out(self, dx: Dx) -> None:
        code = """
main() {
  mkfifo source; mkdir -p out/o; mkfifo out/o/sorted.txt
  dx cat "$f" > source &
  sort source > out/o/sorted.txt &
  dx-upload-all-outputs
  wait
}
"""
        given = dx.upload("unsorted.txt", "b\nc\na\n")
        spec = {"inputSpec": [field("f", "file")], "outputSpec": [field("o", "file")]}
        ended = dx.ran(code, input={"f": file(given)}, **spec)
        assert (ended.state, dx("cat", "sorted.txt").out) == ("done", "a\nb\nc\n")
