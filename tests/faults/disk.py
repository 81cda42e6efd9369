"""A disk whose power can be cut: an ext4 image on a loop device.

The cut is the file system's own shutdown (EXT4_IOC_SHUTDOWN without flushing its journal): at once
nothing more is written, and what was only in the page cache is gone. Mounting it again replays the
journal, as after a real one. A long commit interval lets little reach the disk unasked.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Final

from plasmid.cli import leftovers
from tests.faults import processes

SIZE_BYTES: Final = 4 << 30
COMMIT_SECONDS: Final = 300
UNMOUNT_SECONDS_MAX: Final = 120.0
_SHUTDOWN: Final = 0x8004587D
_WITHOUT_FLUSH: Final = struct.pack("I", 2)


class Disk:
    """An image file, mounted at a folder."""

    def __init__(self, image: Path, mounted: Path) -> None:
        self.image = image
        self.mounted = mounted

    def make(self) -> None:
        """Make the image and mount it."""
        with self.image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", str(self.image))
        self.mounted.mkdir()
        self.mount()

    def mount(self) -> None:
        """Mount it; what its journal holds is replayed."""
        options = f"loop,noatime,commit={COMMIT_SECONDS}"
        run("mount", "-t", "ext4", "-o", options, str(self.image), str(self.mounted))
        self.mounted.chmod(0o711)

    def cut(self) -> None:
        """Let nothing more reach the disk from now on."""
        opened = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, _SHUTDOWN, _WITHOUT_FLUSH)
        finally:
            os.close(opened)

    def unmount(self) -> None:
        """Unmount it, and what is mounted below; waits for processes that are about to be gone."""
        for inner in reversed(self.mounts_below()):
            subprocess.run(["umount", inner], capture_output=True, check=False)

        def unmounted() -> bool:
            for inner in reversed(self.mounts_below()):
                subprocess.run(["umount", inner], capture_output=True, check=False)
            done = subprocess.run(["umount", str(self.mounted)], capture_output=True, check=False)
            return done.returncode == 0

        processes.until(unmounted, UNMOUNT_SECONDS_MAX, f"unmount {self.mounted}", every=0.03)
        # A sandbox that is just being made may hold it too; then the next mount is the dead one.
        processes.until(self._is_released, UNMOUNT_SECONDS_MAX, f"release {self.image}", every=0.03)

    def _is_released(self) -> bool:
        return not any(str(self.image) in loop for loop in leftovers.find_loops(self.image.parent))

    def mounts_below(self) -> list[str]:
        """Return where something is mounted below its folder, outer ones first."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        places = [line.split()[4] for line in lines]
        return [place for place in places if place.startswith(f"{self.mounted}/")]


def run(*command: str) -> None:
    """Run a program; raises with its own words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
