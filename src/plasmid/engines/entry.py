"""How an OCI runtime gets into a sandbox's groups, and what it must see there or must not.

The runtime enters the groups before it makes anything, so that all of it is counted and the cgroup
namespace begins there. Before that, in a mount namespace of its own, what it must not or cannot see
is mended.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from plasmid.engines import cgroups

# Arguments: number of join files, those files, the command.
_JOIN: Final = """n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 1; shift; n=$((n-1)); done
exec "$@"
"""
_HIDE: Final = 'umount "$1" || exit 1; shift\n'
_SHOW: Final = 'mount --bind "$1" "$2" || exit 1; shift 2\n'
_SHOWN_AT: Final = Path("/run/plasmid-root")


def is_crun(runtime: str) -> bool:
    """Say whether a runtime is crun, which leaves groups to us when told so; runc does not."""
    return Path(runtime).name == "crun"


def runtime_command(runtime: str, folder: Path) -> list[str]:
    """Return the runtime's command with its global options, for a sandbox in this folder."""
    options = ["--cgroup-manager=disabled"] if is_crun(runtime) else []
    return [runtime, *options, "--root", str(folder / "runtime")]


def hierarchies(runtime: str) -> tuple[cgroups.Hierarchy, ...]:
    """Return where a sandbox will have groups: ours first, then those that only runc makes."""
    ours = cgroups.find_hierarchies()
    if is_crun(runtime):
        return ours
    return ours + cgroups.other_hierarchies(Path("/proc/self/mountinfo").read_text(), ours)


def limited(groups: tuple[cgroups.Group, ...]) -> list[cgroups.Group]:
    """Return the groups that are ours to make: those that limit something."""
    return [group for group in groups if group.controllers]


def cgroups_inside(groups: tuple[cgroups.Group, ...]) -> dict[str, str]:
    """Return where each group is seen inside: as on the host, in pure version 2 as the root."""
    seen = limited(groups)
    if [group.version for group in seen] == [2]:
        return {"/sys/fs/cgroup": seen[0].path}
    return {f"/sys/fs/cgroup/{Path(group.path).parent.parent.name}": group.path for group in seen}


def joined(
    groups: tuple[cgroups.Group, ...], command: list[str], root: Path, shown_at: Path
) -> list[str]:
    """Return the command that enters a sandbox's groups and becomes the given one.

    It hides the mount that crun must not see, and shows `root` at `shown_at` if that is elsewhere.
    """
    script, arguments = _JOIN, [str(len(limited(groups)))]
    arguments += [group.join_file for group in limited(groups)]
    if shown_at != root:
        script, arguments = _SHOW + script, [str(root), str(shown_at), *arguments]
    hidden = _hidden_mount() if is_crun(command[0]) else None
    if hidden is not None:
        script, arguments = _HIDE + script, [hidden, *arguments]
    apart = [] if script == _JOIN else ["/usr/bin/unshare", "-m"]
    return [*apart, "/bin/sh", "-c", script, "sh", *arguments, *command]


def reachable(root: Path) -> Path:
    """Return where root inside can reach its root: another place if a folder above is closed."""
    closed = [p for p in root.parent.parents if not p.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return root
    _SHOWN_AT.mkdir(mode=0o755, exist_ok=True)
    return _SHOWN_AT


def _hidden_mount() -> str | None:
    mountinfo = Path("/proc/self/mountinfo").read_text()
    mount = cgroups.find_v2_mount(mountinfo)
    offered = Path(mount, "cgroup.controllers").read_text().split() if mount else []
    return cgroups.hidden_from_crun(mountinfo, offered)
