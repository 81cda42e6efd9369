"""How a runtime gets into a sandbox's groups, as commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plasmid.engines import cgroups, entry

V1 = (
    cgroups.Group(1, "/sys/fs/cgroup/memory/plasmid/j", ("memory",)),
    cgroups.Group(1, "/sys/fs/cgroup/cpu,cpuacct/plasmid/j", ("cpu",)),
    cgroups.Group(1, "/sys/fs/cgroup/devices/plasmid/j", ()),
)
V2 = (cgroups.Group(2, "/sys/fs/cgroup/plasmid/j", ("memory", "cpu", "pids")),)
ROOT = Path("/var/lib/x/root")


def joined(
    groups: tuple[cgroups.Group, ...], runtime: str = "/usr/bin/runc", shown_at: Path = ROOT
) -> list[str]:
    return entry.joined(groups, [runtime, "--root", "/r"], ROOT, shown_at)


def test_a_runtime_enters_the_limited_groups_and_no_other() -> None:
    shell, option, script, *rest = joined(V1)
    assert (shell, option) == ("/bin/sh", "-c")
    assert rest == [
        "sh",
        "2",
        "/sys/fs/cgroup/memory/plasmid/j/tasks",
        "/sys/fs/cgroup/cpu,cpuacct/plasmid/j/tasks",
        "/usr/bin/runc",
        "--root",
        "/r",
    ]
    assert subprocess.run([shell, "-n", option, script], check=False).returncode == 0


def test_in_version_2_it_enters_by_the_only_file_there_is() -> None:
    assert joined(V2)[4:6] == ["1", "/sys/fs/cgroup/plasmid/j/cgroup.procs"]


def test_the_script_writes_to_every_file_and_becomes_the_command(tmp_path: Path) -> None:
    groups = tuple(cgroups.Group(1, str(tmp_path / name), ("pids",)) for name in "ab")
    for group in groups:
        Path(group.path).mkdir()
    command = entry.joined(groups, ["/bin/echo", "became"], ROOT, ROOT)
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"became\n"
    assert [Path(group.join_file).read_text() for group in groups] == ["0\n", "0\n"]


def test_a_group_that_cannot_be_entered_is_an_error(tmp_path: Path) -> None:
    gone = (cgroups.Group(1, str(tmp_path / "gone"), ("pids",)),)
    command = entry.joined(gone, ["/bin/echo", "became"], ROOT, ROOT)
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"gone/tasks" in done.stderr


def test_what_crun_must_not_see_is_hidden_from_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_hidden_mount", lambda: "/sys/fs/cgroup/unified")
    assert joined(V1)[0] == "/bin/sh"
    unshare, option, _, _, script, _, hidden, *_ = joined(V1, "/usr/bin/crun")
    assert (unshare, option, hidden) == ("/usr/bin/unshare", "-m", "/sys/fs/cgroup/unified")
    assert script.startswith('umount "$1"')


def test_a_root_below_a_closed_folder_is_shown_elsewhere() -> None:
    made = joined(V1, shown_at=Path("/run/plasmid-root"))
    assert made[:2] == ["/usr/bin/unshare", "-m"]
    assert made[6:8] == [str(ROOT), "/run/plasmid-root"]


def test_a_folder_is_closed_if_others_cannot_pass_one_above_it(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    (open_folder / "sandbox").mkdir(parents=True)
    root = open_folder / "sandbox" / "root"
    open_folder.chmod(0o700)
    assert entry.reachable(root) == Path("/run/plasmid-root")


def test_groups_are_seen_inside_where_programs_look_for_them() -> None:
    assert entry.cgroups_inside(V1) == {
        "/sys/fs/cgroup/memory": "/sys/fs/cgroup/memory/plasmid/j",
        "/sys/fs/cgroup/cpu,cpuacct": "/sys/fs/cgroup/cpu,cpuacct/plasmid/j",
    }
    assert entry.cgroups_inside(V2) == {"/sys/fs/cgroup": "/sys/fs/cgroup/plasmid/j"}


def entered(runtime: str = "/usr/bin/runc", *, terminal: bool = False) -> list[str]:
    command = entry.Command(("/bin/sh", "-c", "x y"), {"A": "b c"}, "1000:1000", "/h", terminal)
    return entry.entered(V1, [runtime, "--root", "/r"], "job-1", command)


def test_a_command_runs_besides_in_the_same_groups() -> None:
    made = entered()
    at = made.index("/usr/bin/runc")
    assert made[at:] == [
        *("/usr/bin/runc", "--root", "/r", "exec", "--cwd=/h", "--user=1000:1000"),
        *("--env=PLASMID_ENTERED=1", "--env=A=b c", "job-1", "/bin/sh", "-c", "x y"),
    ]
    assert made[at - 3 : at] == joined(V1)[4:7]
    assert subprocess.run(["/bin/sh", "-n", "-c", made[2]], check=False).returncode == 0


def test_a_terminal_is_asked_for_and_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = entered(terminal=True)
    assert "--tty" in made
    assert "--tty" not in entered()
    assert "/proc/self/fd/0" in made[2]
    monkeypatch.setattr(entry, "_hidden_mount", lambda: None)
    monkeypatch.setattr("plasmid.engines.window.follows", lambda _: False)
    assert "window.py" in entered("/usr/bin/crun", terminal=True)[3]
    monkeypatch.setattr("plasmid.engines.window.follows", lambda _: True)
    assert entered("/usr/bin/crun", terminal=True)[0] == "/bin/sh"
