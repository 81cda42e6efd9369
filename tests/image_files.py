"""Files that hold an image: OCI and docker archives and root tar files, right and wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

SHELL: Final = Path("/bin/sh").resolve().read_bytes()
SYSTEM: Final[Mapping[str, bytes]] = {
    "bin/sh": SHELL,
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
}
ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(
    platform.machine(), platform.machine()
)


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """A member of a tar file."""
    made = tarfile.TarInfo(name)
    made.type = kind
    made.mode = 0o755
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def tar(files: Mapping[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A tar file with files, then the others."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            archive.addfile(entry(name, size=len(data)), io.BytesIO(data))
        for member in others:
            archive.addfile(member)
    return content.getvalue()


def oci(layers: Sequence[bytes], *, architecture: str = ARCHITECTURE) -> dict[str, bytes]:
    """The files of an OCI archive with these layers, packed by gzip."""
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    kind = "application/vnd.oci.image"
    packed = [
        {"mediaType": f"{kind}.layer.v1.tar+gzip", **put(gzip.compress(layer, 1))}
        for layer in layers
    ]
    plain = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    rootfs = {"type": "layers", "diff_ids": plain}
    config = {"architecture": architecture, "os": "linux", "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", **put(json.dumps(config).encode())},
        "layers": packed,
    }
    described = {"mediaType": manifest["mediaType"], **put(json.dumps(manifest).encode())}
    index = {"schemaVersion": 2, "manifests": [described]}
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs,
    }


def docker(layers: Sequence[bytes]) -> dict[str, bytes]:
    """The files of a docker archive with these layers."""
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"diff_ids": digests}}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "Layers": names}]
    return {
        "manifest.json": json.dumps(manifest).encode(),
        "config.json": json.dumps(config).encode(),
        **dict(zip(names, layers, strict=True)),
    }
