"""A real registry on this machine: Debian's docker-registry."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests import image_files

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a registry in a folder; gives host and port.

    A user whose home is `folder/user` takes it without TLS.
    """
    with contextlib.closing(socket.socket()) as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{chosen.getsockname()[1]}"
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    user = folder / "user/.config/containers"
    user.mkdir(parents=True)
    insecure = f'[[registry]]\nlocation = "{address}"\ninsecure = true\n'
    (user / "registries.conf").write_text(insecure)
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(settings)], stdout=subprocess.PIPE, stderr=log
        )
    try:
        while not _answers(f"http://{address}/v2/"):
            assert server.poll() is None, (folder / "registry.log").read_text()
        yield address
    finally:
        server.kill()
        server.communicate()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), _DIRECT.open(url, timeout=5):
        return True
    return False


def push(folder: Path, files: dict[str, bytes], reference: str) -> None:
    """Put an OCI image into a registry."""
    archive = folder / "pushed.tar"
    archive.write_bytes(image_files.tar(files))
    command = ["skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"docker://{reference}"]
    subprocess.run(command, check=True)
