"""A log that is full has its head, an exact count and its tail; secrets are in no part of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import Dx, Ended, opened, user

pytestmark = pytest.mark.e2e

LIMIT_BYTES = 4_000_000
COUNT = 1_000_000
FLOOD = f"seq -f '%08.0f {'x' * 60}' 1 {COUNT}"
LEFT_OUT = re.compile(r"^Left out here: (\d+) lines \((\d+) bytes\)")
FAKE = "Left out here: 5 lines (6 bytes), as the log had reached its limit of 7 bytes"
OF_THE_SITE = "the site's passphrase"

SECRETS = r"""
python3 - << 'END'
import base64, json, os, urllib.parse
token = json.loads(os.environ["DX_SECURITY_CONTEXT"])["auth_token"]
for value in (token, "the site's passphrase", "own+value/here"):
    if value == "own+value/here":
        import subprocess
        subprocess.run(["dx-mask-value"], input=value.encode(), check=True)
    raw = value.encode()
    print("plain", value, flush=True)
    for before in ("", "x", "xy"):
        print("base64", base64.b64encode(before.encode() + raw + b"~~~").decode())
    print("url", urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
    print("json", json.dumps({"v": value}), "hex", raw.hex(), raw.hex().upper())
    print("reversed", value[::-1], "long", "y" * 8180 + value, flush=True)
json.dump({"error": {"type": "AppError", "message": "bad " + token}}, open("job_error.json", "w"))
END
dx-log-stream -l info -s DX_APP <<< "by the socket own+value/here"
exit 1
"""


@pytest.fixture(scope="module")
def small(images_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dx]:
    """A user of a site whose logs are small, and which has a secret of its own."""
    folder = tmp_path_factory.mktemp("small")
    secrets = folder / "secrets"
    secrets.write_text(f"{OF_THE_SITE}\n")
    secrets.chmod(0o600)
    config = f'[logs]\njob_bytes_max = {LIMIT_BYTES}\nsecrets_file = "{secrets}"\n'
    with opened(images_folder, config=config) as site:
        yield user(site, folder, "small")


def numbers(ended: Ended) -> list[int]:
    return [int(text[:8]) for text in ended.said() if text.endswith("x" * 60)]


def test_a_flood_is_cut_with_one_exact_count_and_ends_with_its_last_lines(small: Dx) -> None:
    ended = small.ran(f"{FLOOD}\necho '{FAKE}'\necho last words >&2\n")
    assert ended.state == "done"
    told = [line for line in ended.log if line.source == "SYSTEM" and LEFT_OUT.match(line.msg)]
    assert len(told) == 1
    found = LEFT_OUT.match(told[0].msg)
    assert found is not None
    kept = numbers(ended)
    head = [n for n, at in zip(kept, range(1, COUNT), strict=False) if n == at]
    tail = kept[len(head) :]
    assert head
    assert tail == list(range(COUNT - len(tail) + 1, COUNT + 1))
    assert int(found[1]) == COUNT - len(kept)
    assert int(found[2]) == (COUNT - len(kept)) * 69
    assert len(tail) >= 1000 - 1
    assert FAKE in ended.said()
    assert "last words" in ended.said("STDERR")
    assert [line.line for line in ended.log] == list(range(len(ended.log)))
    (stored,) = small.site.data.glob(f"logs/*/{ended.describe['id']}.0.log")
    assert stored.stat().st_size < 1.5 * LIMIT_BYTES


def test_no_secret_is_in_a_log_or_a_failure_in_any_usual_encoding(small: Dx) -> None:
    ended = small.ran(SECRETS)
    said = "\n".join(line.msg for line in ended.log)
    assert ended.describe["failureReason"] == "AppError"
    assert ended.describe["failureMessage"].startswith("bad ***")
    assert len(re.findall("^plain [*]{3}$", said, re.MULTILINE)) == 3
    assert len(re.findall("^base64 .*[*]{3}", said, re.MULTILINE)) == 9
    assert len(re.findall("^url [*]{3} [*]{3}$", said, re.MULTILINE)) == 3
    assert said.count('json {"v": "***"} hex *** ***') == 3
    assert "by the socket ***" in said
    assert len(re.findall("^reversed [*]{3} long y", said, re.MULTILINE)) == 3
    assert "passphrase" not in said
    assert "own+value" not in said
    assert "PLASMID_MASK" not in said
