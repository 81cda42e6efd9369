"""dx-mask-value refuses what could not be found in a log again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import plasmid

SCRIPT = Path(plasmid.__file__).parent / "runtime" / "dx-mask-value"


@pytest.mark.parametrize(
    ("value", "said"), [(b"abcd\xff\xfe", b"text in UTF-8"), (b"abc", b"at least 4 characters")]
)
def test_a_value_that_cannot_be_masked_is_refused(value: bytes, said: bytes) -> None:
    for arguments, given in (([], value), ([b"good value", value], b"")):
        ended = subprocess.run(
            ["/bin/sh", SCRIPT, *arguments], input=given, capture_output=True, check=False
        )
        assert ended.returncode == 1
        assert said in ended.stderr
        assert b"Traceback" not in ended.stderr
