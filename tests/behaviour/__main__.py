"""Call every case on a server by its URL: `python -m tests.behaviour URL --token T ...`.

Some cases name larger machines than many people have: start the server with `plasmid serve --fit`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def main() -> int:
    """Return pytest's exit code."""
    parser = argparse.ArgumentParser(prog="just behaviour", description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8000")
    parser.add_argument(
        "--token",
        required=True,
        help="of a user who may make projects, users and 300 orgs ([server] user_orgs_max)",
    )
    parser.add_argument("--second-token", required=True, help="of another user")
    given, rest = parser.parse_known_args()
    said = {"url": given.url.rstrip("/"), "token": given.token, "second_token": given.second_token}
    os.environ["BEHAVIOUR_SERVER"] = json.dumps(said)
    return int(pytest.main([str(HERE), "-q", "--timeout", "0", *rest]))


if __name__ == "__main__":
    sys.exit(main())
