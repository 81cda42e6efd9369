"""The disk of one sandbox: as large as its instance type says, and not a byte larger.

What a sandbox writes goes below `disk` in its folder. Where the file system there keeps project
quotas (quota.py), that folder has one. Else it is a file system of its own: an ext4 image in the
sandbox's folder, sparse, attached to a loop device and mounted. Either way, writing beyond its size
fails inside, `df` shows its size, and the sandbox beside it notices nothing.

An image costs 4 ms a sandbox. An empty file system of a size is formatted once for a process; it is
a few blocks among holes, which are then written into each new image. There is no journal and
nothing is initialised in advance, as the image is deleted with the sandbox. The loop device reads
and writes past the page cache (direct), which would else hold everything twice, and lets itself go
(autoclear) when its mount does: after a crash, unmounting and deleting is all there is to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Final

from plasmid.engines import overlay, quota

AUTO: Final = "auto"
QUOTA: Final = "quota"
LOOP: Final = "loop"
OFF: Final = "off"
IMAGE: Final = "disk.img"
MOUNT: Final = "disk"
SIZE_BYTES_MIN: Final = 2 << 20

_GB: Final = 10**9
_BLOCK: Final = 4096
_BYTES_PER_INODE: Final = 16384
_INODE_BYTES: Final = 256
# What conmon and the worker need beside the image, so that how a job ended can always be kept.
_RESERVE_BYTES_MAX: Final = 256 << 20
# With less than this left on the machine, data that was written inside may not have reached it.
_TIGHT_BYTES: Final = 1 << 30
# From this on, writing out what is about to be deleted takes longer than anything else at the end.
_MUCH_DIRTY_KIB: Final = 256 << 10

_LOOP_CONTROL: Final = "/dev/loop-control"
_LOOP_MAJOR: Final = 7
_LOOP_CONFIGURE: Final = 0x4C0A
_LOOP_CTL_GET_FREE: Final = 0x4C82
_LOOP_TRIES_MAX: Final = 64
_AUTOCLEAR, _DIRECT = 4, 16
_EXT4_SHUTDOWN: Final = 0x8004587D
_WITHOUT_FLUSH: Final = 2
_MS_NOATIME: Final = 1024
_libc: Final = ctypes.CDLL(None, use_errno=True)

Blocks = tuple[tuple[int, bytes], ...]


class Disks:
    """Makes disks in one of the modes; keeps what an empty one of each size looks like.

    Mode `auto` takes quotas, else images, else there is no limit.
    """

    def __init__(self, mode: str = AUTO) -> None:
        self._mode = mode
        self._empty: dict[int, Blocks] = {}
        self._binds: dict[int, bool] = {}
        self._lock = threading.Lock()

    def kind(self, folder: Path) -> str:
        """Return how the disk of a sandbox in this folder is limited: QUOTA, LOOP, or OFF."""
        if self._mode in (LOOP, OFF):
            return self._mode
        with self._lock:
            device = folder.stat().st_dev
            if device not in self._binds:
                self._binds[device] = quota.binds(folder)
        if self._binds[device]:
            return QUOTA
        return LOOP if self._mode == AUTO and problem() is None else OFF

    def unenforced(self, folder: Path, size_bytes: int) -> list[str]:
        """Return what a sandbox in this folder will lack of a disk of this size, one a line."""
        wanted = f"disk: {size_bytes // _GB} GB"
        if self._mode == OFF:
            return [f"{wanted} is no limit: [jobs] disk_limit is off"]
        if self.kind(folder) == OFF:
            why = "no project quotas here: mount its disk with prjquota"
            return [f"{wanted} is no limit: {why if self._mode == QUOTA else problem()}"]
        if room(folder) < size_bytes:
            left = room(folder) // _GB
            return [f"{wanted} is more than the {left} GB that are left on this machine: free some"]
        return []

    def make(self, folder: Path, size_bytes: int, *, kind: str, name: str) -> Path:
        """Make a sandbox's disk and return where; raises OSError.

        It is smaller where the machine itself has less left: `room` says how much.
        """
        if kind == QUOTA:
            target = folder / MOUNT
            target.mkdir(mode=0o755)
            quota.limit(target, quota.project_of(name), size_bytes)
            return target
        return self._make_image(folder, size_bytes)

    def _make_image(self, folder: Path, size_bytes: int) -> Path:
        free_bytes = room(folder)
        size_bytes = min(size_bytes, free_bytes)
        if size_bytes < SIZE_BYTES_MIN:
            raise OSError(errno.ENOSPC, "no space left for a sandbox's disk", str(folder))
        image, target = folder / IMAGE, folder / MOUNT
        target.mkdir()
        descriptor = os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            total_bytes = _with_inodes(size_bytes)
            os.ftruncate(descriptor, total_bytes)
            for offset, content in self._blocks(total_bytes, folder):
                os.pwrite(descriptor, content, offset)
            _mount(descriptor, target)
        finally:
            os.close(descriptor)
        target.chmod(0o755)
        return target

    def _blocks(self, total_bytes: int, folder: Path) -> Blocks:
        with self._lock:
            if total_bytes not in self._empty:
                if len(self._empty) > 32:
                    self._empty.clear()
                self._empty[total_bytes] = _formatted(total_bytes, folder)
            return self._empty[total_bytes]


def problem() -> str | None:
    """Return what keeps sandboxes from having images, with the remedy; None if nothing."""
    if shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return "no mke2fs: apt-get install e2fsprogs"
    if not Path(_LOOP_CONTROL).exists():
        return "no loop devices: modprobe loop (in a container: start it privileged)"
    if "\text4" not in Path("/proc/filesystems").read_text():
        return "the kernel has no ext4: modprobe ext4"
    return None


def room(folder: Path) -> int:
    """Return how large the disk of a sandbox in this folder can be now."""
    found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    return free_bytes - min(_RESERVE_BYTES_MAX, free_bytes // 8)


def remove(folder: Path) -> None:
    """Unmount the disk in a sandbox's folder; none there, or half of one, is fine."""
    target = folder / MOUNT
    if _is_mounted(folder) and _dirty_kib() > _MUCH_DIRTY_KIB:
        with contextlib.suppress(OSError):
            _stop_writing(target)
    overlay.unmount(target)
    (folder / IMAGE).unlink(missing_ok=True)


def has_lost_writes(folder: Path) -> bool:
    """Say whether something that was written inside did not reach the machine's disk.

    The images of all sandboxes together may be larger than what the machine has, so it can be the
    machine that is full. That is found out here only where it is possible: it takes time.
    """
    if not _is_mounted(folder):
        return False
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize > _TIGHT_BYTES:
        return False
    descriptor = os.open(folder / MOUNT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return int(_libc.syncfs(descriptor)) != 0
    finally:
        os.close(descriptor)


def _is_mounted(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / MOUNT).lstat().st_dev != folder.lstat().st_dev
    return False


def _with_inodes(size_bytes: int) -> int:
    """Return how large an image must be for `df` to show the size: inodes do not count there."""
    groups = -(-size_bytes // (_BLOCK * _BLOCK * 8))
    inodes = size_bytes * _INODE_BYTES // (_BYTES_PER_INODE - _INODE_BYTES)
    total = size_bytes + inodes + groups * (3 * _BLOCK + _INODE_BYTES) + 64 * _BLOCK
    return -(-total // _BLOCK) * _BLOCK


def _formatted(total_bytes: int, folder: Path) -> Blocks:
    """Return the blocks of an empty file system that are not holes."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="format-") as scratch:
        scratch.truncate(total_bytes)
        features = "^has_journal,^resize_inode,sparse_super2"
        extended = "lazy_itable_init=1,nodiscard,num_backup_sb=0,packed_meta_blocks=1"
        command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", features, "-E", extended]
        command += ["-b", str(_BLOCK), "-I", str(_INODE_BYTES), "-i", str(_BYTES_PER_INODE)]
        done = subprocess.run(
            [*command, scratch.name],
            capture_output=True,
            check=False,
            env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip()
            raise OSError(errno.EIO, f"mke2fs failed: {message}", scratch.name)
        return tuple(_written(scratch.fileno()))


def _written(descriptor: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    end = 0
    while True:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return found
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        found.append((begin, os.pread(descriptor, end - begin, begin)))


def _mount(image: int, target: Path) -> None:
    """Attach an open image to a loop device and mount it."""
    device, path = _attached(image)
    try:
        options = b"noinit_itable,discard,errors=remount-ro"
        if _libc.mount(os.fsencode(path), os.fsencode(target), b"ext4", _MS_NOATIME, options):
            number = ctypes.get_errno()
            raise OSError(number, f"cannot mount {path}: {os.strerror(number)}", str(target))
    finally:
        os.close(device)


def _attached(image: int) -> tuple[int, str]:
    """Return an open loop device over an image, and its path."""
    # struct loop_config of linux/loop.h: fd, block size, loop_info64, eight reserved words.
    info = struct.pack("<5Q4I64s64s32s2Q", *(0,) * 8, _AUTOCLEAR | _DIRECT, b"", b"", b"", 0, 0)
    config = struct.pack("<II", image, _BLOCK) + info + bytes(64)
    control = os.open(_LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_LOOP_TRIES_MAX):
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            path = f"/dev/loop{number}"
            if not os.path.exists(path):  # noqa: PTH110 - where /dev is not the kernel's own
                os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, number))
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # else somebody was faster
                    raise
            else:
                return device, path
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free", _LOOP_CONTROL)


def _dirty_kib() -> int:
    found = re.search(r"^Dirty:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _stop_writing(target: Path) -> None:
    """Let the file system forget what is not written yet; it is deleted in a moment."""
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _EXT4_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
    finally:
        os.close(descriptor)
