"""A sandbox that may run containers mounts within itself, and reaches nothing outside (X-list)."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmid.engines import choice, nested
from plasmid.environments import images
from tests.contract.test_engines import HOME, SECONDS_MAX, Workshop, traces

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="ids of sandboxes are shifted by root only"
)
MIB = 1 << 20
MOUNT = "mount -t tmpfs none /mnt && echo mounted || echo refused"
PROCESSES = "unshare --pid --mount --fork --mount-proc ls /proc | grep -c '^[0-9]'"


@pytest.fixture(params=["crun", "runc", "podman"])
async def workshop(request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    made = choice.named(request.param)
    if problems := await made.check():
        pytest.skip(f"{request.param} cannot work here: {problems[0]}")
    try:
        base_image = images.Images(HOME / "images").find("Debian", "12", "0").root
    except images.ImageError as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="plasmid-nested-", dir="/var/tmp"))
    folder.chmod(0o755)
    opened = Workshop(request.param, made, base_image, folder)
    async with asyncio.timeout(SECONDS_MAX):
        yield opened
        await opened.close()
    left = [trace for path in folder.iterdir() for trace in traces(path.name, path)]
    shutil.rmtree(folder)
    assert left == []


async def ran(workshop: Workshop, script: str, **options: object) -> list[str]:
    """Run a script in a sandbox that may run containers; gives what it wrote to stdout."""
    _, lines = await workshop.ran(f"exec 2>&1; {script}", **{"runs_containers": True, **options})
    return lines


async def test_it_mounts_and_makes_namespaces(workshop: Workshop) -> None:
    assert await ran(workshop, MOUNT) == ["mounted"]
    assert await ran(workshop, PROCESSES) == ["1"]


async def test_others_do_neither(workshop: Workshop) -> None:
    assert (await ran(workshop, MOUNT, runs_containers=False))[-1] == "refused"
    script = "unshare --pid --fork true && echo made; echo end"
    if workshop.engine.name == "oci":  # podman has a list of calls of its own
        script = f"unshare --user true && echo made; {script}"
    assert (await ran(workshop, script, runs_containers=False))[-1] == "end"
    assert "made" not in await ran(workshop, script, runs_containers=False)


async def test_threads_and_processes_start_without_the_rights(workshop: Workshop) -> None:
    script = """python3 -c "
import threading, subprocess, multiprocessing
threading.Thread(target=print, args=('thread',)).start()
print(subprocess.check_output(['echo', 'process']).decode().strip())
with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1]))
" | sort"""
    found = await ran(workshop, script, runs_containers=False)
    assert found == ["[1]", "process", "thread"]


async def test_an_overlay_lies_over_the_folder_for_containers(workshop: Workshop) -> None:
    script = f"""cd {nested.STORAGE}; mkdir lower upper work merged lower/old; echo a > lower/old/a
    mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work,userxattr merged || exit 1
    rm -r merged/old; mkdir merged/old; echo b > merged/old/b; ls merged/old; stat -c %U ."""
    assert await ran(workshop, script) == ["b", "root"]
    assert await ran(workshop, script, disk_bytes=64 * MIB) == ["b", "root"]


async def test_containers_count_against_the_disk(workshop: Workshop) -> None:
    if workshop.engine.name == "podman":  # it sets no limit to a disk, and says so
        spec = workshop.spec("true", disk_bytes=64 * MIB)
        spec.folder.rmdir()
        assert any("disk" in line for line in await workshop.engine.unenforced(spec))
        return
    script = f"head -c 200M /dev/zero > {nested.STORAGE}/big && echo fits; df -h / | tail -n 1"
    found = await ran(workshop, script, disk_bytes=64 * MIB)
    assert "No space left on device" in found[0]
    assert "fits" not in found


async def test_fuse_can_be_opened_whatever_the_host_s_mode_is(workshop: Workshop) -> None:
    script = "stat -c '%t %T' /dev/fuse; exec 3<>/dev/fuse && echo opened"
    found = await ran(workshop, script)
    # podman shows the host's own device, which the host may have closed to others
    is_closed = workshop.engine.name == "podman" and not Path(nested.FUSE).stat().st_mode & 0o006
    assert found[0] == "a e5"
    assert ("opened" in found) != is_closed
    assert await ran(workshop, script, disk_bytes=64 * MIB) == found


@pytest.mark.parametrize(
    "script",
    [
        # Settings of the whole machine, laid bare by a /proc of its own.
        "mount -t proc none /mnt && echo 1 > /mnt/sys/kernel/panic",
        "mount -t proc none /mnt && echo 1 > /mnt/sys/vm/drop_caches",
        "mount -t proc none /mnt && echo x > /mnt/sys/kernel/core_pattern",
        "mount -t proc none /mnt && echo b > /mnt/sysrq-trigger",
        "umount /proc/sys; echo 1 > /proc/sys/kernel/panic",
        "mount -o remount,rw /proc/sys; echo 1 > /proc/sys/kernel/panic",
        "mount -t proc none /mnt; head -c 1 /mnt/kcore",
        # Disks and other devices.
        "mknod /tmp/disk b 7 0; head -c 1 /tmp/disk",
        "mknod /tmp/disk b 254 0; mount /tmp/disk /mnt",
        "mknod /tmp/memory c 1 1; head -c 1 /tmp/memory",
        "mount -t ext4 /dev/loop0 /mnt",
        "mount -t devtmpfs none /mnt",
        "losetup -f /etc/passwd",
        # Kernel-wide file systems.
        "mount -t debugfs none /mnt",
        "mount -t securityfs none /mnt",
        "mount -o remount,rw /sys; echo mem > /sys/power/state",
        "mount -t sysfs none /mnt && echo 1 > /mnt/kernel/mm/ksm/run",
        # Limits.
        "cd /sys/fs/cgroup/memory; mount -o remount,rw .; echo -1 > memory.limit_in_bytes",
        "mount -t cgroup -o memory none /mnt && echo -1 > /mnt/memory.limit_in_bytes",
        # The rest of what root of a machine may do.
        "date -s 2001-01-01",
        "hostname x && unshare --net ip link set lo up",
        "nsenter --target 1 --mount --net ip link add dummy0 type dummy",
        "chroot /proc/1/root/.. ls /var/lib/plasmid",
        "swapon /etc/passwd",
        "insmod /etc/passwd",
    ],
)
async def test_the_machine_stays_out_of_reach(workshop: Workshop, script: str) -> None:
    *_, last = await ran(workshop, f"({script}); echo code=$?")
    assert last.startswith("code=")
    assert last != "code=0"


async def test_only_its_own_processes_are_seen(workshop: Workshop) -> None:
    script = "mount -t proc none /mnt; ls /mnt | grep -c '^[0-9]'; ls -d /mnt/1/root/home/*"
    count, homes = await ran(workshop, script)
    assert int(count) <= 4
    assert homes == "/mnt/1/root/home/dnanexus"


async def test_what_it_mounts_is_not_seen_outside(workshop: Workshop) -> None:
    sandbox = await workshop.started(
        "mount -t tmpfs none /mnt; touch /mnt/inside; echo done; sleep 100", runs_containers=True
    )
    while not sandbox.log_path.read_text().count("done"):
        await asyncio.to_thread(os.sched_yield)
    assert not (sandbox.root / "mnt/inside").exists()
    await sandbox.kill()
    await sandbox.wait()


async def test_a_device_that_it_gets_is_no_one_else_s(workshop: Workshop) -> None:
    sandbox = await workshop.created("/bin/true", runs_containers=True)
    status = (sandbox.folder / "fuse").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
