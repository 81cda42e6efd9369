"""What base images are made of; pure: every package and command as data."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from typing import Final

import msgspec

from plasmid.environments import apt_sources, clients

# What apps use without declaring it, in every release, and what those use who log in to look at a
# job (runtime/login.sh). What stays out makes an image larger for few: gcc (190 MB; apps that
# compile declare build-essential), R (110 MB), Java (210 MB), and on Debian scipy (610 MB, with a
# compiler).
_EVERYWHERE: Final = (
    "apt-utils",
    "bc",
    "bzip2",
    "ca-certificates",
    "curl",
    "file",
    "gawk",
    "git",
    "hostname",
    "iproute2",
    "jq",
    "less",
    "libgomp1",
    "lsb-release",
    "make",
    "netbase",
    "openssh-client",
    "openssh-sftp-server",
    "p7zip-full",
    "parallel",
    "patch",
    "pigz",
    "procps",
    "psmisc",
    "python3",
    "python3-pip",
    "python3-venv",
    "rsync",
    "sudo",
    "time",
    "tmux",
    "unzip",
    "wget",
    "xz-utils",
    "zip",
)
# Old bundled binaries want the former; what mounts file systems of its own, fusermount.
_NCURSES_5_AND_6: Final = ("libncurses5", "libncurses6")
_FUSE: Final = ("fuse3", "libfuse2")
# Apps compile for Python with build-essential alone, and unpack rar, for which 7z has no codec.
_UBUNTU_TOOLS: Final = ("libarchive-tools", "python3-dev")
# Where Python 2.7 was the system's: what apps of that time import and compile with, and for
# Python 3 what comes with the client elsewhere.
_OLD: Final = (
    "apt-transport-https",
    "bsdmainutils",
    "bsdtar",
    "fuse",
    "libfuse2",
    "libncurses5",
    "python",
    "python-dev",
    "python-numpy",
    "python-setuptools",
    "python3-dateutil",
    "python3-dev",
    "python3-numpy",
    "python3-psutil",
    "python3-requests",
    "python3-setuptools",
    "python3-wheel",
)

# Manuals and translations are for nobody here; licences stay. Jobs install by the same rules and
# without syncing each file to disk, which takes most of an installation's time.
DPKG_OPTIONS: Final = (
    "force-unsafe-io",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)
_UNMANAGED: Final = "path-exclude=/usr/lib/python3*/EXTERNALLY-MANAGED"

# Older packages put links into the folders of manuals, which are there even without any.
_MANUALS: Final = 'for number in 1 2 3 4 5 6 7 8; do mkdir -p "$1/usr/share/man/man$number"; done'
_MERGE: Final = (
    "[ $(uname -m) != x86_64 ] || lib64=lib64; for name in bin sbin lib $lib64; do "
    'mkdir -p "$1/usr/$name"; ln -s "usr/$name" "$1/$name"; done'
)
_HOOKS: Final = "/usr/share/mmdebstrap/hooks"


class Recipe(msgspec.Struct, frozen=True):
    """How one base image is made.

    `reference` is its OCI image, `glibc_minor` the N of its glibc 2.N. `merges_usr` makes /bin a
    link into /usr, as the release's own installer does and its packages do not; `makes_users` are
    there before the packages that would make them too early, when no one can be made.
    """

    name: str
    distribution: str
    release: str
    suite: str
    components: tuple[str, ...]
    reference: str
    glibc_minor: int
    packages: tuple[str, ...]
    python_3: clients.Client | None
    python_2: clients.Client | None = None
    merges_usr: bool = False
    makes_users: tuple[str, ...] = ()
    externally_managed: bool = False

    @property
    def title(self) -> str:
        """The release by its own name, as a run specification has it."""
        return f"{self.distribution} {self.release}"

    @property
    def python_is_2(self) -> bool:
        """Whether plain `python` is Python 2.7; `pip` and `dx` are of the same Python then."""
        return "python" in self.packages


_SYSTEMD_USERS: Final = (
    "systemd-timesync",
    "systemd-network",
    "systemd-resolve",
    "systemd-bus-proxy",
)
_UBUNTU: Final = ("main", "universe")
_DEBIAN: Final = ("main",)


def _with(*packages: str) -> tuple[str, ...]:
    return tuple(sorted((*_EVERYWHERE, *packages)))


_ALL: Final = (
    Recipe(
        name="ubuntu-24.04",
        distribution="Ubuntu",
        release="24.04",
        suite="noble",
        components=_UBUNTU,
        reference="ubuntu:24.04",
        glibc_minor=39,
        packages=_with("bsdextrautils", "fuse3", "libfuse2t64", "libncurses6", *_UBUNTU_TOOLS),
        python_3=clients.PYTHON_3["3.12"],
        merges_usr=True,
        externally_managed=True,
    ),
    Recipe(
        name="ubuntu-20.04",
        distribution="Ubuntu",
        release="20.04",
        suite="focal",
        components=_UBUNTU,
        reference="ubuntu:20.04",
        glibc_minor=31,
        packages=_with("bsdmainutils", *_FUSE, *_NCURSES_5_AND_6, *_UBUNTU_TOOLS, "python2.7"),
        python_3=clients.PYTHON_3["3.8"],
        python_2=clients.PYTHON_2,
        merges_usr=True,
    ),
    Recipe(
        name="ubuntu-16.04",
        distribution="Ubuntu",
        release="16.04",
        suite="xenial",
        components=_UBUNTU,
        reference="ubuntu:16.04",
        glibc_minor=23,
        makes_users=_SYSTEMD_USERS,
        packages=_with(*_OLD),
        python_3=clients.PYTHON_3["3.5"],
        python_2=clients.PYTHON_2,
    ),
    Recipe(
        name="ubuntu-14.04",
        distribution="Ubuntu",
        release="14.04",
        suite="trusty",
        components=_UBUNTU,
        reference="ubuntu:14.04",
        glibc_minor=19,
        packages=_with(*_OLD),
        python_3=None,
        python_2=clients.PYTHON_2,
    ),
    Recipe(
        name="debian-12",
        distribution="Debian",
        release="12",
        suite="bookworm",
        components=_DEBIAN,
        reference="debian:12",
        glibc_minor=36,
        packages=_with("bsdextrautils", *_FUSE, *_NCURSES_5_AND_6, "python3-numpy"),
        python_3=clients.PYTHON_3["3.11"],
    ),
    Recipe(
        name="debian-11",
        distribution="Debian",
        release="11",
        suite="bullseye",
        components=_DEBIAN,
        reference="debian:11",
        glibc_minor=31,
        packages=_with("bsdextrautils", *_FUSE, *_NCURSES_5_AND_6, "python2.7", "python3-numpy"),
        python_3=clients.PYTHON_3["3.9"],
        python_2=clients.PYTHON_2,
        merges_usr=True,
    ),
)
RECIPES: Final = {recipe.name: recipe for recipe in _ALL}


def digest(recipe: Recipe, *content: object) -> str:
    """Return the stable name of what a recipe gave: of it and all that is told of the result."""
    told = msgspec.json.encode([recipe, *content], order="sorted")
    return hashlib.sha256(told).hexdigest()[:32]


def command(
    recipe: Recipe,
    target: str,
    *,
    sources: Sequence[apt_sources.Source],
    settings: Sequence[str],
    customize: str,
    keyring: str = "",
    base: str = "",
    as_root: bool = True,
) -> list[str]:
    """Return the mmdebstrap command that makes the root file system, without root as a tar file.

    `customize` is the file of furnishing.script, `keyring` what the sources are signed by (else
    what the host trusts). Without sources, mmdebstrap takes its own default mirror. With `base`, a
    tar file, the packages are added to what is in it.
    """
    managed = () if recipe.externally_managed else (_UNMANAGED,)
    return [
        "mmdebstrap",
        *(("--mode=root", "--format=directory") if as_root else ("--mode=unshare", "--format=tar")),
        *((f"--keyring={keyring}",) if keyring else ()),
        f"--components={','.join(recipe.components)}",
        "--skip=cleanup/apt/lists",
        f"--include={','.join(recipe.packages)}",
        *(f"--dpkgopt={option}" for option in (*DPKG_OPTIONS, *managed)),
        *(f"--aptopt={setting}" for setting in settings),
        *_start(recipe, base),
        f'--customize-hook={shlex.quote(customize)} "$1"',
        recipe.suite,
        target,
        *(source.line() for source in sources),
    ]


def _start(recipe: Recipe, base: str) -> list[str]:
    """Return the options for what lies in the root before packages are installed."""
    if base:
        # Its own package sources are not those that we were told to use.
        without = "etc/apt/sources.list etc/apt/sources.list.d/* var/lib/apt/lists/*"
        excluded = " ".join(f"--exclude='./{path}'" for path in without.split())
        kept = "--numeric-owner --xattrs --xattrs-include='*'"
        unpack = f'tar -C "$1" {excluded} {kept} -xpf {shlex.quote(base)}'
        return ["--variant=custom", f"--setup-hook={unpack}"]
    made = ["--variant=minbase", f"--setup-hook={_MANUALS}"]
    if recipe.merges_usr:
        made.append(f"--setup-hook={_MERGE}")
    if recipe.makes_users:
        made.append(f"--extract-hook={_users(recipe.makes_users)}")
    if recipe.glibc_minor < 20:
        made.append(f"--hook-dir={_HOOKS}/jessie-or-older")
    return made


def _users(names: Sequence[str]) -> str:
    masters = 'for f in passwd group; do cp "$1/usr/share/base-passwd/$f.master" "$1/etc/$f"; done'
    lines = [masters]
    for number, name in enumerate(names, 100):
        user = f"{name}:x:{number}:{number}::/:/bin/false"
        lines.append(f'echo {user} >>"$1/etc/passwd"; echo {name}:x:{number}: >>"$1/etc/group"')
    return "; ".join(lines)
