"""Seeds a bug into the platform's processes: the tests of faults must see each of them.

Python imports this module by itself when its folder is in PYTHONPATH. FAULTS_BUG names the bug,
which is put into a module of the platform as soon as that is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Patch = Callable[[Any], None]


def _fence_off_reports(internal: Any) -> None:
    internal._require_lease = lambda call, target, worker, attempt: None


def _fence_off_tokens(users: Any) -> None:
    async def keep_tokens(tx: Any, job: str) -> None:
        """Leave the tokens of a try that is over as they are."""

    users.remove_job_tokens = keep_tokens


def _adopt_skipped(execute: Any) -> None:
    async def adopt(engine: Any, folder: Any) -> None:
        """Begin anew instead of going on."""
        sandbox = await engine.adopt(folder.sandbox)
        if sandbox is not None:
            await sandbox.remove()
        folder.sandbox.mkdir(mode=0o755, exist_ok=True)
        (folder.path / "started").unlink(missing_ok=True)

    execute.adopt = adopt


def _fsync_skipped(database: Any) -> None:
    database._PRAGMAS = tuple(
        text.replace("synchronous=FULL", "synchronous=OFF") for text in database._PRAGMAS
    )


def _sync_of_parts_skipped(folder: Any) -> None:
    folder._sync = lambda path: None
    folder.os = _without_sync()


def _without_sync() -> Any:
    class Os:
        """The module os, whose syncs do nothing."""

        def __getattr__(self, name: str) -> Any:
            return (lambda fd: None) if name in ("fsync", "fdatasync") else getattr(os, name)

    return Os()


def _leftover_kept(teardown: Any) -> None:
    async def keep_sandbox(engine: Any, folder: Any) -> None:
        """Leave the sandbox where it is."""

    teardown.remove_sandbox = keep_sandbox


def _nonce_forgotten(nonces: Any) -> None:
    async def read(call: Any, route: str, given: Any, body: bytes) -> None:
        """Find no nonce."""

    nonces.read = read


def _log_repeated(platform: Any) -> None:
    async def log_cursors(self: Any, held: Any) -> dict[str, int]:
        """Say that nothing was kept so far."""
        return {}

    platform.Platform.log_cursors = log_cursors


def _any_place(folder: Any) -> None:
    folder.require_place = lambda job, attempt, kept, since: None


BUGS: dict[str, dict[str, Patch]] = {
    "fence-off": {
        "plasmid.methods.internal": _fence_off_reports,
        "plasmid.metadata.users": _fence_off_tokens,
    },
    "adopt-skipped": {"plasmid.worker.steps.execute": _adopt_skipped},
    "fsync-skipped": {
        "plasmid.metadata.database": _fsync_skipped,
        "plasmid.blobs.folder": _sync_of_parts_skipped,
    },
    "leftover-kept": {"plasmid.worker.steps.teardown": _leftover_kept},
    "effect-twice": {"plasmid.methods.nonces": _nonce_forgotten},
    "log-repeated": {
        "plasmid.worker.platform": _log_repeated,
        "plasmid.logs.folder": _any_place,
    },
}


class _Loader(importlib.abc.Loader):
    """Loads a module as ever, then puts a bug into it."""

    def __init__(self, inner: importlib.abc.Loader, patch: Patch) -> None:
        self._inner = inner
        self._patch = patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Make the module as ever."""
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then change it."""
        self._inner.exec_module(module)
        self._patch(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that get a bug."""

    def __init__(self, patches: dict[str, Patch]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's own spec with a loader that changes it."""
        patch = self._patches.pop(fullname, None)
        if patch is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, patch)
        return spec


if bug := os.environ.get("FAULTS_BUG"):
    sys.meta_path.insert(0, _Finder(dict(BUGS[bug])))
