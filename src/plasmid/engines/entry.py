"""How an OCI runtime gets into a sandbox's groups, and what it must see there or must not.

It does so once when it makes the sandbox, and again for each command that is to run in it besides.

The runtime enters the groups before it makes anything, so that all of it is counted and the cgroup
namespace begins there. Before that, in a mount namespace of its own, what it must not or cannot see
is mended.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plasmid.engines import cgroups, stopping, window

# Arguments: number of join files, those files, the command.
_JOIN: Final = """n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 1; shift; n=$((n-1)); done
exec "$@"
"""
_HIDE: Final = 'umount "$1" || exit 1; shift\n'
_SHOW: Final = 'mount --bind "$1" "$2" || exit 1; shift 2\n'
_SHOWN_AT: Final = Path("/run/plasmid-root")
# Who leads a session without a terminal gets the first one that it opens: the runtime is then told
# of changes of its size. The score: when memory runs out, who looks goes before the job.
_TAKE_TERMINAL: Final = "{ true </proc/self/fd/0; } 2>/dev/null\n"
_GO_FIRST: Final = 'echo "$1" >/proc/self/oom_score_adj; shift\n'
_OOM_SCORE: Final = 700


class Command(msgspec.Struct, frozen=True):
    """What is to run in a sandbox besides its own command, see engine.Sandbox.entry."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    user: str
    working_directory: str
    terminal: bool

    def options(self) -> list[str]:
        """Return the options of `exec` that crun, runc and podman have in common."""
        return [
            *(["--tty"] if self.terminal else []),
            f"--user={self.user}",
            f"--env={stopping.MARK}=1",
            *(f"--env={name}={value}" for name, value in self.environment.items()),
        ]


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
    script, arguments = _join(groups)
    if shown_at != root:
        script, arguments = _SHOW + script, [str(root), str(shown_at), *arguments]
    script, arguments = _hide(command[0], script, arguments)
    return _shell(script, [*arguments, *command])


def entered(
    groups: tuple[cgroups.Group, ...], runtime: Sequence[str], name: str, command: Command
) -> list[str]:
    """Return the command line that enters a sandbox and its groups and becomes the runtime there.

    `runtime` is its command with its global options; it ends when the given command does.
    """
    script, arguments = _join(groups)
    script, arguments = _GO_FIRST + script, [str(_OOM_SCORE), *arguments]
    script, arguments = _hide(runtime[0], script, arguments)
    folder = f"--cwd={command.working_directory}"
    inside = [*runtime, "exec", folder, *command.options(), name, *command.arguments]
    if not command.terminal:
        return _shell(script, [*arguments, *inside])
    if is_crun(runtime[0]) and not window.follows(runtime[0]):
        return window.command(_shell(script, [*arguments, *inside]))
    return _shell(_TAKE_TERMINAL + script, [*arguments, *inside])


def taking_terminal(command: Sequence[str]) -> list[str]:
    """Return the command line that takes its terminal for its own and becomes another."""
    return _shell(_TAKE_TERMINAL + 'exec "$@"\n', command)


def _join(groups: Iterable[cgroups.Group]) -> tuple[str, list[str]]:
    files = [group.join_file for group in groups if group.controllers]
    return _JOIN, [str(len(files)), *files]


def _hide(runtime: str, script: str, arguments: list[str]) -> tuple[str, list[str]]:
    hidden = _hidden_mount() if is_crun(runtime) else None
    return (script, arguments) if hidden is None else (_HIDE + script, [hidden, *arguments])


def _shell(script: str, arguments: Sequence[str]) -> list[str]:
    """Return a shell's command line, in a mount namespace of its own if the script changes any."""
    apart = ["/usr/bin/unshare", "-m"] if _HIDE in script or _SHOW in script else []
    return [*apart, "/bin/sh", "-c", script, "sh", *arguments]


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
