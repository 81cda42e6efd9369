"""Writes the pages of docs/reference that say what the code says: `just docs`.

tests/tidy compares the pages with what this would write, so they cannot fall behind.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from plasmid import __version__, config
from plasmid.domain import analysis_states, errors, failures, job_states
from plasmid.methods import openapi
from plasmid.methods.described import tables
from plasmid.methods.registry import Method

PAGES = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py (`just docs`): change the code, not this page. -->\n"


def configuration() -> str:
    """Return the page of all settings."""
    lines = [
        "# Configuration",
        "",
        "Nothing has to be set. A value comes from a variable, else from the file `plasmid.toml`",
        "in the home folder (or the one that `PLASMID_CONFIG` names), else it is the default.",
        "`plasmid config` prints what is in force and where each value came from.",
        "",
        "| in plasmid.toml | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for key, meta, default in config.settings():
        section, _, name = key.rpartition(".")
        place = f"`[{section}] {name}`" if section else f"`{name}`"
        variable = f"`PLASMID_{key.upper().replace('.', '_')}`"
        shown = f"`{default}`" if default not in ("", [], 0) else ""
        if key == "home":
            place, shown = "", "`~/.plasmid`, for root `/var/lib/plasmid`"
        elif isinstance(default, dict):
            place, variable, shown = f"`[{key}]`", "", ""
        lines.append(f"| {place} | {variable} | {shown} | {meta.description} |")
    lines += [
        "",
        "Two more variables: `PLASMID_CONFIG` names another file, `PLASMID_PYTHON` the Python that",
        "`./plasmid` makes its environment with.",
        "",
        "A file with everything that one usually changes:",
        "",
        "```toml",
        'engine = "auto"',
        "",
        "[server]",
        'host = "127.0.0.1"',
        "port = 8124",
        "",
        "[jobs]",
        "running_max = 4",
        "memory_bytes = 8_000_000_000",
        "",
        "[images]",
        '"Ubuntu 14.04" = "ubuntu-16.04"',
        '"Ubuntu 22.04" = "ubuntu-24.04"',
        "",
        "[image_sources.apt]",
        '"Ubuntu" = "http://mirror.example.org/ubuntu"',
        "```",
        "",
        "The left side of `[images]` is a distribution with release and, if wanted, version, as in",
        "dxapp.json (`Ubuntu 24.04 0`); the most exact one counts, `*` is all others. A release",
        "that no line covers is served by its own image, which `plasmid image build ubuntu-24.04`",
        "makes.",
        "",
    ]
    return "\n".join(lines)


def error_types() -> str:
    """Return the page of API errors and job failures."""
    lines = [
        "# Errors",
        "",
        'An API call that fails answers `{"error": {"type", "message"}}` with these statuses.',
        "`dx` prints both and exits with 3.",
        "",
        "| type | status | when |",
        "|---|---|---|",
        *(
            f"| `{error.__name__}` | {error.status} | {inspect.getdoc(error)} |"
            for error in errors.ApiError.__subclasses__()
        ),
        "",
        "## Why a job fails",
        "",
        "`failureReason` of a job is one of:",
        "",
        *(f"- `{reason}`" for reason in sorted(failures.ALL)),
        "",
        "How a job's end is read: [Executions](../concepts/executions.md#how-a-job-ends).",
        "",
    ]
    return "\n".join(lines)


def states() -> str:
    """Return the page of a job's states, drawn from the table that the platform goes by."""
    rows = [f"  {row.state} --> {row.next}: {row.event}" for row in job_states.TRANSITIONS]
    ends = [f"  {state} --> [*]" for state in sorted(job_states.TERMINAL)]
    lines = [
        "# Job states",
        "",
        "Every move that a job can make; anything else is refused. Two states last no longer than",
        "one transaction: `idle`, which a job leaves in the call that makes it and which is never",
        "shown, and `restartable`, which is seen only among the `stateTransitions`.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "  [*] --> idle",
        *rows,
        *ends,
        "```",
        "",
        "| state | what happened | next |",
        "|---|---|---|",
        *(f"| {r.state} | {r.event} | {r.next} |" for r in job_states.TRANSITIONS),
        "",
        *_analysis_states(),
    ]
    return "\n".join(lines)


def _analysis_states() -> list[str]:
    """Return the part about analyses, which have a table of their own."""
    table = analysis_states.TRANSITIONS
    terminal = sorted({row.next for row in table} - {row.state for row in table})
    return [
        "## States of an analysis",
        "",
        "An analysis does nothing itself: what happens to it is what happens to the executions of",
        "its stages.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"  [*] --> {analysis_states.State.IN_PROGRESS}",
        *(f"  {row.state} --> {row.next}: {row.event}" for row in table),
        *(f"  {state} --> [*]" for state in terminal),
        "```",
        "",
        "| state | what happened | next |",
        "|---|---|---|",
        *(f"| {row.state} | {row.event} | {row.next} |" for row in table),
        "",
    ]


def methods() -> str:
    """Return the page of all routes that answer clients, by area."""
    lines = [
        "# Methods",
        "",
        "Every route, with what a caller needs and the keys that it takes; those in bold must be",
        "there. All are `POST` with a JSON object. `xxxx` is the rest of an id; of apps and global",
        "workflows also a name, or a name and a version (`/app-NAME/1.0.0/run`). Routes marked ⓝ",
        "take a `nonce`, with which a call may be repeated.",
        "",
        "The same with types and answers, for programs: [openapi.json](openapi.json), which every",
        "server also gives at `/openapi.json`. What a route does as the platform does not:",
        "[Differences](differences.md). What they refuse with: [Errors](errors.md).",
    ]
    offered = openapi.public_methods()
    for area, says in openapi.AREAS.items():
        routes = [found for found in offered if found.class_name == area]
        if routes:
            lines += ["", f"## {says}", "", "| route | | access | takes |", "|---|---|---|---|"]
            lines += [_line_of(found) for found in routes]
    return "\n".join([*lines, ""])


def _line_of(found: Method) -> str:
    told = tables.TOLD.get(found.route, tables.UNTOLD)
    keys = [f"**{key}**" if value.is_required else key for key, value in told.takes.items()]
    taken = ", ".join(key for key in keys if key != "nonce")
    if told.body is not None:
        taken = f"*{told.body.says}*"
    nonce = " ⓝ" if found.has_nonce else ""
    cells = (openapi.said_of(found)[0], openapi.access_of(found), taken)
    return f"| `{found.route}`{nonce} | {' | '.join(cells)} |"


def document() -> str:
    """Return the API's document, for the address where a server is by default: a path a line."""
    made = openapi.document(__version__, "http://127.0.0.1:8124")
    paths = ",\n".join(f"{json.dumps(path)}: {_json(item)}" for path, item in made["paths"].items())
    rest = _json({name: part for name, part in made.items() if name != "paths"})
    return f'{rest[:-1]},\n"paths": {{\n{paths}\n}}}}\n'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def pages() -> dict[Path, str]:
    """Return every generated page with its text."""
    return {
        PAGES / "configuration.md": NOTE + configuration(),
        PAGES / "errors.md": NOTE + error_types(),
        PAGES / "job-states.md": NOTE + states(),
        PAGES / "methods.md": NOTE + methods(),
        PAGES / "openapi.json": document(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path)
