"""Lines are found where a reading of the whole file would find them."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from plasmid.domain.assignments import LogEntry
from plasmid.logs import batches, seeking
from plasmid.logs.store import ALL, Choice, Lines, Place

LEVELS = ("STDOUT", "STDERR", "INFO", "METRICS")


def written(path: Path, rng: random.Random, *, old: int) -> list[tuple[int, bytes]]:
    """Write batches of any size, the first `old` in the old form; return (offset, line)s."""
    lines: list[tuple[int, bytes]] = []
    data = b""
    for number in range(rng.randrange(30)):
        some = [
            LogEntry(1, '","level":"INFO","msg":"', rng.choice(LEVELS), "x" * rng.randrange(200))
            for _ in range(rng.choice((0, 1, 2, 40)))
        ]
        batch = batches.encode(Lines.of(some), {"out": number}, lines_before=len(lines))
        if number < old:
            batch = batch[: batch.rindex(b" ")] + b"\n"
        offset = len(data)
        for line in batch.splitlines(keepends=True):
            if not line.startswith(b"#"):
                lines.append((offset, line))
            offset += len(line)
        data += batch
    path.write_bytes(data + b'{"torn')
    return lines


def found_last(path: Path, end: batches.End, *, count: int, choice: Choice) -> tuple[Place, int]:
    """Search to the end."""
    search = seeking.LastLines(path, end, count=count, choice=choice)
    while True:
        if found := search.go_on():
            return found


def after(end: batches.End, lines: list[tuple[int, bytes]], at: int) -> Place:
    return Place(lines[at][0], at) if at < len(lines) else Place(end.offset, end.lines)


@pytest.mark.parametrize("seed", range(40))
def test_a_line_is_found_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(seeking, "BLOCK_BYTES", rng.choice((16, 100, 1000, 1 << 18)))
    path = tmp_path / "log"
    lines = written(path, rng, old=rng.choice((0, 0, 5, 100)))
    end = batches.find_end(path)
    assert end.lines == len(lines)
    for at in {0, len(lines), len(lines) + 5, *(rng.randrange(len(lines) + 1) for _ in range(9))}:
        found = seeking.find_line(path, end, at)
        expected = after(end, lines, at)
        assert found.line == expected.line
        # behind the end of a batch or before it is the same
        rest = path.read_bytes()[found.offset : end.offset]
        assert batches.without_marks(rest) == b"".join(line for _, line in lines[at:])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    "choice",
    [ALL, Choice(["STDERR"]), Choice(["INFO", "STDOUT"]), Choice(["METRICS"], others=True)],
    ids=["all", "one", "two", "but one"],
)
def test_the_last_lines_of_a_choice_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, choice: Choice
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(seeking, "BLOCK_BYTES", rng.choice((16, 100, 1000, 1 << 18)))
    monkeypatch.setattr(seeking, "STEP_BYTES", rng.choice((1, 500, 1 << 22)))
    path = tmp_path / "log"
    lines = written(path, rng, old=rng.choice((0, 0, 5, 100)))
    end = batches.find_end(path)
    chosen = [at for at, (_, line) in enumerate(lines) if choice.takes(line)]
    for count in (0, 1, 2, 7, len(chosen), len(chosen) + 1):
        place, found = found_last(path, end, count=count, choice=choice)
        assert found == min(count, len(chosen))
        rest = batches.without_marks(path.read_bytes()[place.offset : end.offset])
        assert rest == b"".join(line for _, line in lines[place.line :])
        kept = [at for at in range(place.line, len(lines)) if choice.takes(lines[at][1])]
        assert kept == chosen[len(chosen) - found :]


def test_the_end_of_a_large_log_is_found_with_few_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        for start in range(0, 200_000, 1000):
            some = [LogEntry(1, "s", "STDOUT", "x" * 80) for _ in range(1000)]
            file.write(batches.encode(Lines.of(some), {"out": start}, lines_before=start))
    blocks = 0
    original = batches.count_entries

    def counted(data: bytes) -> int:
        nonlocal blocks
        blocks += 1
        return original(data)

    monkeypatch.setattr(batches, "count_entries", counted)
    end = batches.find_end(path)
    assert seeking.find_line(path, end, 123_456).line == 123_456
    assert found_last(path, end, count=10, choice=ALL)[0].line == 199_990
    assert blocks < 5
    rest = path.read_bytes()[seeking.find_line(path, end, 77).offset :]
    assert msgspec.json.decode(rest.splitlines()[0])["msg"] == "x" * 80


def test_a_level_is_told_from_text_that_looks_like_one() -> None:
    entry = LogEntry(1, '","level":"STDERR","msg":"', "STDOUT", '","level":"INFO","msg":"')
    line = msgspec.json.encode(entry) + b"\n"
    takers = [level for level in LEVELS if Choice([level]).takes(line)]
    assert takers == ["STDOUT"]
    assert [Choice([level]).count_in(line) for level in LEVELS] == [1, 0, 0, 0]
    assert ALL.count_in(line + b"#{} 1\n") == 1
    assert Choice(["INFO"]).takes_none(b"nothing of it\n")
    assert not Choice(["INFO"], others=True).takes_none(b"nothing of it\n")
