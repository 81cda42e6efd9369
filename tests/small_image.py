"""A container image of a few programs of this machine, as archives that `docker load` takes."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("sh", "cat", "id", "ls", "env", "sleep", "mkdir", "rm", "grep", "wc", "echo")
NAME: Final = "quay.io/biocontainers/small:1.0--0"
_LIBRARY: Final = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def docker_archive(name: str = NAME) -> bytes:
    """Return what `docker save` writes of an image."""
    layer, config = _content()
    digest = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": ["layer/layer.tar"]}]
    files = {
        f"{digest}.json": config,
        "layer/layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar(files)


def oci_archive(name: str = NAME) -> bytes:
    """Return the same image as an archive of the OCI image layout."""
    layer, config = _content()
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    media = "application/vnd.oci.image"
    parts = []
    for kind, content in (("config.v1+json", config), ("layer.v1.tar", layer)):
        parts.append(_blob(files, f"{media}.{kind}", content))
    manifest = {"schemaVersion": 2, "config": parts[0], "layers": parts[1:]}
    entry = _blob(files, f"{media}.manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return _tar(files)


def _blob(files: dict[str, bytes], media: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    files[f"blobs/sha256/{digest}"] = content
    return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)}


def _content() -> tuple[bytes, bytes]:
    """Return the image's one layer and its configuration."""
    layer = _layer()
    config = {
        "architecture": _ARCHITECTURE.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin", "INSIDE=yes"],
            "Cmd": ["/bin/sh"],
            "Labels": {"version": "1.0"},
        },
        "history": [{"created_by": "tests"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    return layer, json.dumps(config).encode()


def _layer() -> bytes:
    files = {}
    for name in PROGRAMS:
        program = Path(shutil.which(name, path="/usr/bin:/bin") or name).resolve()
        files[f"bin/{name}"] = program.read_bytes()
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in _LIBRARY.findall(said):
            files[library.lstrip("/")] = Path(library).read_bytes()
    files["etc/passwd"] = b"root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"
    files["lower/file"] = b"from the image\n"
    return _tar(files, mode=0o755)


def _tar(files: dict[str, bytes], *, mode: int = 0o644) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for folder in sorted({str(p) for name in files for p in Path(name).parents} - {"."}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
