"""Jobs that fail, each in its own way: kinds of failures, and what is drawn for each by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from tests.e2e.driver import field

TINY: Final = {"systemRequirements": {"*": {"instanceType": "mem1_hdd2_x1"}}}
WORDS: Final = ("adapter", "barcode", "contig", "depth", "exon", "frame", "gene", "haplotype")


class Failing(msgspec.Struct, frozen=True):
    """A program that fails; `text` is the content of its input file `reads`, if it has one."""

    kind: str
    code: str
    reason: str
    interpreter: str = "bash"
    input: dict[str, Any] = {}
    text: str | None = None
    input_spec: list[dict[str, Any]] | None = None
    output_spec: list[dict[str, Any]] | None = None
    replays_sub_job: bool = False


def _said(draw: random.Random) -> str:
    """Lines on both streams, some of them of the job's own ids."""
    told = [
        f'echo "{draw.choice(WORDS)} {draw.randrange(10**6)}"' for _ in range(draw.randrange(1, 30))
    ]
    told += [f'echo "{draw.choice(WORDS)} was odd" >&2' for _ in range(draw.randrange(3))]
    told.append('echo "in $DX_JOB_ID of $DX_PROJECT_CONTEXT_ID and $DX_WORKSPACE_ID, $PWD"')
    draw.shuffle(told)
    return "\n".join(told) + "\n"


def _python(body: str) -> str:
    return f'@dxpy.entry_point("main")\ndef main(**given):\n    {body}\n'


def an_exit(draw: random.Random) -> Failing:
    return Failing("exit", f"{_said(draw)}exit {draw.randrange(1, 126)}", "AppInternalError")


def a_signal(draw: random.Random) -> Failing:
    number = draw.choice((1, 2, 3, 6, 9, 11, 13, 15))
    return Failing("signal", f"{_said(draw)}kill -{number} $$", "AppInternalError")


def an_exception(draw: random.Random) -> Failing:
    error = draw.choice(("ValueError", "KeyError", "ZeroDivisionError", "OSError"))
    body = f'print("begins")\n    raise {error}("{draw.choice(WORDS)} {draw.randrange(99)}")'
    return Failing("exception", _python(body), "AppInternalError", "python3")


def an_app_error(draw: random.Random) -> Failing:
    message = f"no {draw.choice(WORDS)} in sample {draw.randrange(99)}"
    if draw.random() < 0.5:
        return Failing(
            "AppError", _python(f'raise dxpy.AppError("{message}")'), "AppError", "python3"
        )
    return Failing("AppError", f'{_said(draw)}dx-jobutil-report-error "{message}"', "AppError")


def a_missing_output(draw: random.Random) -> Failing:
    name = draw.choice(WORDS)
    return Failing("no output", _said(draw), "OutputError", output_spec=[field(name, "int")])


def a_bad_output(draw: random.Random) -> Failing:
    name = draw.choice(WORDS)
    code = f"{_said(draw)}dx-jobutil-add-output {name} {draw.choice(WORDS)} --class string"
    return Failing("bad output", code, "OutputError", output_spec=[field(name, "int")])


def no_json(draw: random.Random) -> Failing:
    content = draw.choice(("{", "[]", '"x"', "{]"))
    return Failing("no JSON", f"{_said(draw)}echo '{content}' > job_output.json", "OutputError")


def out_of_memory(draw: random.Random) -> Failing:
    code = f"{_said(draw)}python3 -c 'bytearray({draw.randrange(2, 5)} << 30)'"
    return Failing("memory", code, "AppInsufficientResourceError")


def no_such_command(draw: random.Random) -> Failing:
    return Failing("no command", f"{_said(draw)}{draw.choice(WORDS)}-caller", "AppInternalError")


def a_sourced_file(draw: random.Random) -> Failing:
    code = f"""
echo 'echo "in the file"; [ {draw.randrange(9)} = ten ]' > helpers.sh
{_said(draw)}main() {{ . ./helpers.sh; echo never; }}
"""
    return Failing("sourced", code, "AppInternalError")


def a_pipe(draw: random.Random) -> Failing:
    code = f"main() {{ set -o pipefail\n{_said(draw)}seq 9 | grep {draw.choice(WORDS)} | sort; }}"
    return Failing("pipe", code, "AppInternalError")


def by_its_input(draw: random.Random) -> Failing:
    number = draw.randrange(1, 100)
    code = f'main() {{\n{_said(draw)}[ "$n" -lt 0 ] || exit "$n"; }}'
    spec = [field("n", "int")]
    return Failing("by input", code, "AppInternalError", input={"n": number}, input_spec=spec)


def by_its_file(draw: random.Random) -> Failing:
    text = "".join(f"{draw.choice(WORDS)}\t{draw.randrange(1000)}\n" for _ in range(50))
    wanted = draw.choice(WORDS)
    code = f"""
main() {{
  dx-download-all-inputs
  ls -1 in/reads; wc -c < "$reads_path"; sha256sum "$reads_path" | cut -c 1-64
  grep -n {wanted} "$reads_path" | head -n 5
  awk '$1 == "{wanted}" && NR > 3 {{ print NR " is bad" > "/dev/stderr"; exit 3 }}' "$reads_path"
  exit 4
}}
"""
    spec = [field("reads", "file")]
    return Failing("by file", code, "AppInternalError", text=text, input_spec=spec)


def a_sub_job(draw: random.Random) -> Failing:
    code = f"""
main() {{ dx-jobutil-add-output o "$(dx-jobutil-new-job work -in:int={draw.randrange(1, 99)}):o" \\
  --class jobref; }}
work() {{
  {_said(draw)}
  exit "$n"
}}
"""
    return Failing("sub-job", code, "JobTreeFailure", output_spec=[field("o", "int")])


def in_a_sub_job(draw: random.Random) -> Failing:
    return msgspec.structs.replace(a_sub_job(draw), kind="in a sub-job", replays_sub_job=True)


def no_such_file(draw: random.Random) -> Failing:
    code = f"{_said(draw)}cat /home/dnanexus/in/{draw.choice(WORDS)}.fastq"
    return Failing("no file", code, "AppInternalError")


def an_open_output(draw: random.Random) -> Failing:
    code = (
        f"{_said(draw)}"
        'f=$(dx api file new "{\\"project\\": \\"$DX_WORKSPACE_ID\\"}" | jq -r .id)\n'
        'dx-jobutil-add-output o "$f" --class file'
    )
    return Failing("open output", code, "OutputError", output_spec=[field("o", "file")])


KINDS: Final[tuple[Callable[[random.Random], Failing], ...]] = (
    an_exit, by_its_file, in_a_sub_job, an_app_error, a_signal, an_exception, a_missing_output,
    out_of_memory, by_its_input, a_sub_job, a_bad_output, a_sourced_file, no_such_command, no_json,
    a_pipe, no_such_file, an_open_output,
)  # fmt: skip


def failures(seed: int, count: int) -> Iterator[Failing]:
    """Give that many failures of a seed, the kinds in turn."""
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        yield KINDS[number % len(KINDS)](draw)
