"""A mirror on this machine: a folder served over HTTP, with the faults that real mirrors have.

It listens at 127.0.0.2: sandboxes take 127.0.0.1 for themselves, and reach this one as any host.
"""

from __future__ import annotations

import contextlib
import fnmatch
import http.server
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ADDRESS: Final = "127.0.0.2"


class Fault(NamedTuple):
    """What happens to paths that fit a pattern: a status, changed bytes, or silence."""

    pattern: str
    status: int = 0
    changes: bool = False
    stalls: bool = False


class Mirror:
    """A folder that is served; `faults` may be changed at any time, `asked` are the paths."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.port = 0

    @property
    def place(self) -> str:
        return f"{ADDRESS}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}"

    def fault(self, path: str) -> Fault:
        return next((f for f in self.faults if fnmatch.fnmatch(path, f.pattern)), Fault(""))

    def had(self, pattern: str) -> bool:
        """Say whether a path of that pattern was asked for."""
        return any(fnmatch.fnmatch(path, pattern) for path in self.asked)


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def served(root: Path) -> Iterator[Mirror]:
    """Serve a folder for the time of the block."""
    mirror = Mirror(root)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, directory=str(root), **named)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            mirror.asked.append(path)
            fault = mirror.fault(path)
            if fault.stalls:
                mirror.closing.wait(120)
            elif fault.status:
                self.send_error(fault.status)
            elif fault.changes:
                self._send_changed()
            else:
                super().do_GET()

        def _send_changed(self) -> None:
            content = Path(self.translate_path(self.path)).read_bytes()
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *given: object) -> None:
            """Say nothing."""

    server = _Server((ADDRESS, 0), Handler)
    mirror.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
