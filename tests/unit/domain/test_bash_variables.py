"""The variables are those of the real client's `dx-print-bash-vars`, and bash reads them so."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmid.domain import bash_variables

FILE_1 = "file-BBBBBBBBBBBBBBBBBBBBBBB1"
FILE_2 = "file-BBBBBBBBBBBBBBBBBBBBBBB2"
RECORD = "record-BBBBBBBBBBBBBBBBBBBBBBB1"
FILES = [FILE_1, FILE_2]


def link(entity: str, project: str | None = None) -> dict[str, Any]:
    return {"$dnanexus_link": {"project": project, "id": entity} if project else entity}


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = st.one_of(
    st.sampled_from(
        ["a.bam", "x.bwa-index.tar.gz", "xx.c.gz", "food.sam", "z ra'.sam", "n", ".gz"]
    ),
    texts.filter(lambda name: name not in {"", ".", ".."}),
)
plain = st.one_of(texts, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
links = st.one_of(
    st.sampled_from(FILES).map(link),
    st.sampled_from(FILES).map(lambda file: link(file, "project-BBBBBBBBBBBBBBBBBBBBBBB1")),
    st.just(link(RECORD)),
)
values = st.one_of(
    plain,
    links,
    st.dictionaries(st.sampled_from("pq"), plain, max_size=2),
    st.lists(plain, max_size=3),
    st.lists(links, max_size=12),
    st.lists(st.one_of(plain, links), max_size=3),
)
patterns = st.lists(
    st.sampled_from(
        ["*.bam", "*.bwa-index.tar.gz", "foo*.sam", "z*ra'.sam", "*", "uu.txt", "*.gz"]
    ),
    max_size=3,
)
KEYS = ["a", "b", "reads", "reads_name", "HOME", "a_path"]


def clients_variables(
    input: dict[str, Any], files: dict[str, str], spec: list[dict[str, Any]], function: str
) -> dict[str, str]:
    """Return what the unmodified client computes."""
    dxpy = importlib.import_module("dxpy")
    utils = importlib.import_module("dxpy.utils.file_load_utils")

    class NamedFile(dxpy.DXFile):  # type: ignore[misc, name-defined]
        name = property(lambda self: files[self.get_id()])
        id = property(lambda self: self.get_id())

    def handler_of(value: Any) -> Any:
        entity, _ = dxpy.get_dxlink_ids(value)
        return NamedFile(entity) if entity.startswith("file-") else dxpy.get_handler(value)

    def describe(entity: str) -> dict[str, Any]:
        if entity.startswith("job-"):
            return {"function": function, "applet": "applet-1"}
        return {"inputSpec": spec}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "dxpy", PatchedModule(dxpy, handler_of, describe))
        patch.setattr(dxpy, "JOB_ID", "job-1")
        patch.delattr(dxpy.api, "DXHTTPRequest")  # nothing here may call the platform
        patch.setenv("DX_JOB_ID", "job-1")
        patch.setattr(os, "environ", {"HOME": "/home/dnanexus", "DX_JOB_ID": "job-1"})
        path = Path("/dev/shm") / f"plasmid-test-{os.getpid()}.json"
        path.write_text(json.dumps(input))
        try:
            found: dict[str, str] = utils.gen_bash_vars(str(path))
        finally:
            path.unlink()
    return found


class PatchedModule:
    """The client's module with two functions that would call the platform."""

    def __init__(self, module: Any, get_handler: Any, describe: Any) -> None:
        self.module = module
        self.get_handler = get_handler
        self.describe = describe

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    input=st.dictionaries(st.sampled_from(KEYS), values, max_size=4),
    first=names,
    second=names,
    listed=patterns,
    function=st.sampled_from(["main", "process"]),
)
def test_they_are_what_the_client_prints(
    input: dict[str, Any], first: str, second: str, listed: list[str], function: str
) -> None:
    files = {FILE_1: first, FILE_2: second}
    spec: list[dict[str, Any]] = [
        {"name": "reads", "class": "file", "patterns": listed},
        {"name": "a"},
    ]
    expected = clients_variables(input, files, spec, function)
    computed = bash_variables.compute(
        input,
        files,
        input_spec=spec if function == "main" else (),
        taken={"HOME", "DX_JOB_ID"},
    )
    assert computed.definitions == expected
    assert list(computed.definitions) == list(expected)


def in_bash(code: str, script: str) -> str:
    """Return what a script prints after the definitions were read."""
    done = subprocess.run(["bash", "-c", code + script], check=True, capture_output=True)
    return done.stdout.decode()


def rendered(input: dict[str, Any], files: dict[str, str] | None = None, **options: Any) -> str:
    return bash_variables.render(bash_variables.compute(input, files or {}, **options))


@given(texts)
@settings(max_examples=20, deadline=None)
def test_bash_gets_a_string_as_it_was(text: str) -> None:
    assert in_bash(rendered({"s": text}), 'printf "%s." "$s"') == f"{text}."


def test_a_file_is_an_array_of_one_and_expands_to_its_link() -> None:
    code = rendered({"reads": link(FILE_1, "project-BBBBBBBBBBBBBBBBBBBBBBB1")}, {FILE_1: "a.bam"})
    script = 'echo "$reads ${#reads[@]} $reads_name $reads_prefix $reads_path"'
    assert in_bash(code, script) == (
        f'{{"$dnanexus_link": "{FILE_1}"}} 1 a.bam a /home/dnanexus/in/reads/a.bam\n'
    )


def test_the_folders_of_an_array_of_files_are_padded_to_one_width() -> None:
    code = rendered({"f": [link(FILE_1)] * 11}, {FILE_1: "a"})
    script = 'echo "${f_path[0]} ${f_path[10]} ${#f[@]}"'
    assert in_bash(code, script) == "/home/dnanexus/in/f/00/a /home/dnanexus/in/f/10/a 11\n"


def test_an_empty_array_is_empty() -> None:
    assert in_bash(rendered({"f": []}), 'echo "${#f[@]}"') == "0\n"


def test_a_taken_name_is_not_set_and_is_told_on_stderr() -> None:
    code = rendered({"PATH": "mine"}, taken={"PATH"})
    assert "export PATH" not in code
    done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "Creating environment variable (PATH) would cause a name collision\n"


def test_a_field_that_is_no_shell_name_does_not_break_the_others() -> None:
    assert in_bash(rendered({"a.b": [1], "c": "x"}), 'echo "$c"') == "x\n"


@pytest.mark.parametrize(("length", "is_told"), [(16 * 1024 - 1, False), (16 * 1024, True)])
def test_a_value_of_16_kib_is_warned_about(length: int, is_told: bool) -> None:
    said = in_bash(rendered({"long": "a" * length}), "")
    assert said == (f"warning: variable long is long ({length} bytes)\n" if is_told else "")


@pytest.mark.parametrize("name", [".", ".."])
def test_a_file_that_no_folder_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="rename it"):
        bash_variables.compute({"f": link(FILE_1)}, {FILE_1: name})


def test_the_shortest_prefix_of_all_patterns_is_taken() -> None:
    spec = [{"name": "f", "patterns": ["*.gz", "*.bwa-index.tar.gz", "*.tar.gz", "x*"]}]
    computed = bash_variables.compute(
        {"f": link(FILE_1)}, {FILE_1: "a.bwa-index.tar.gz"}, input_spec=spec
    )
    assert computed.definitions["f_prefix"] == "( a )"


def test_a_slash_in_a_file_name_is_escaped() -> None:
    computed = bash_variables.compute({"f": link(FILE_1)}, {FILE_1: "a/b.txt"})
    assert computed.definitions["f_name"] == "( a%2Fb.txt )"
