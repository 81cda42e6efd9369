"""One bench for all of these tests, and repositories of real packages on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from plasmid.environments import host_mirrors, mirrors, uv_program
from plasmid.worker.steps import environment
from tests.e2e.conftest import images_folder
from tests.mirrors import layouts, serving, upstream
from tests.mirrors.box import INSTALL, Bench, Ran, program

__all__ = ["images_folder"]

OLDER_R6: Final = "2.4.0"
ARCHIVES: Final = (
    "libdevel-globaldestruction-perl",
    "libsub-exporter-progressive-perl",
    "r-cran-r6",
)


LOOP: Final = """
import contextlib, io, json, os
from importlib.machinery import SourceFileLoader
program = SourceFileLoader("program", "/opt/plasmid/install-dependencies").load_module()
for request in json.load(open("/requests.json")):
    with open("/opt/plasmid/dependencies.json", "w") as sink:
        json.dump(request, sink)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        code = program.main()
    told = open("/opt/plasmid/failure").read() if code else ""
    print("outcome " + json.dumps([code, told]))
"""


class Refusals(NamedTuple):
    """How several installations in one sandbox ended: (exit code, failure) of each."""

    ran: Ran
    outcomes: list[tuple[int, str]]


class Installer:
    """Runs the program that installs packages, each time in a new sandbox."""

    def __init__(self, bench: Bench, served: serving.Mirror, key: Path) -> None:
        self.bench = bench
        self.served = served
        self._settings = mirrors.Settings(
            apt=[f"deb {served.url}/debian ./"],
            apt_keys=[str(key)],
            pip=f"{served.url}/simple/",
            gem=[f"{served.url}/gems/"],
            cpan=[f"{served.url}/cpan"],
            cran=f"{served.url}/cran",
            git={"https://git.example/": f"{served.url}/git/"},
            timeout_seconds=2,
        )

    def found(self, packages: mirrors.Packages | None = None) -> mirrors.Mirrors:
        chosen = packages or mirrors.Packages()
        return mirrors.of(self._settings, chosen, host_mirrors.Host())

    def install(
        self,
        manager: str,
        *packages: Mapping[str, str],
        lock: Mapping[str, Any] | None = None,
        layers: tuple[Path, ...] = (),
        then: str = "",
        uses_uv: bool = True,
        settings: mirrors.Packages | None = None,
        asks_mirror: bool = True,
    ) -> Ran:
        """Install packages, then run a shell command that sees them."""
        found = self.found(settings)
        inside = found.inside()
        if not asks_mirror and manager == "apt":
            inside["apt_sources"] = False
        request = {
            "groups": [{"manager": manager, "index": 0, "packages": packages}],
            "environment": environment.network_variables(self.bench.ca_bundle),
            "mirrors": inside,
            "lock": lock,
        }
        files = {"/opt/plasmid/dependencies.json": json.dumps(request).encode(), **program()}
        if asks_mirror:
            files |= found.files()
        uv = uv_program.find()
        mounts = [(str(uv), uv_program.INSIDE)] if uv and uses_uv else []
        hosts = [*found.hosts(manager, ()), self.served.place, *self.bench.image.apt_hosts]
        command = f"python3 {INSTALL} && {{ {then or 'true'}; }}"
        return self.bench.run(
            "/bin/bash", "-c", command, files=files, hosts=hosts, layers=layers, mounts=mounts
        )

    def refusals(self, asked: Sequence[tuple[str, Mapping[str, str]]]) -> Refusals:
        """Try each installation, one after the other, in one sandbox without a network."""
        requests = [
            {"groups": [{"manager": m, "index": 0, "packages": [p]}], "environment": {}}
            for m, p in asked
        ]
        files = {"/requests.json": json.dumps(requests).encode(), **program()}
        ran = self.bench.run("python3", "-c", LOOP, files=files)
        found = [line for line in ran.printed.splitlines() if line.startswith("outcome ")]
        return Refusals(ran, [tuple(json.loads(line[8:])) for line in found])

    def sandbox(self, script: str) -> Ran:
        """Run a script in a new sandbox; what it changes can be a layer."""
        ran = self.bench.run("/bin/bash", "-ec", script, hosts=self.bench.image.apt_hosts)
        assert ran.code == 0, ran.printed
        return ran


@pytest.fixture(scope="session")
def bench(images_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    for parent in (folder, *folder.parents[:3]):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return Bench(folder, images_folder)


@pytest.fixture(scope="session")
def commit(root: Path) -> str:
    """The commit that the tag v1 of the repository stands for."""
    makefile = "install:\n\techo built > /usr/local/share/built\n"
    return layouts.repository(root / "git/tool.git", {"Makefile": makefile}, tag="v1")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served: a CPAN, a CRAN, a Python index."""
    home = tmp_path_factory.mktemp("upstream")
    root = tmp_path_factory.mktemp("mirror")
    for name in ("cpan", "debian"):
        (root / name).mkdir()
    found = upstream.archives(home, ARCHIVES)
    layouts.cpan(
        root / "cpan",
        {
            "Devel::GlobalDestruction": found["libdevel-globaldestruction-perl"],
            "Sub::Exporter::Progressive": found["libsub-exporter-progressive-perl"],
        },
    )
    layouts.cran(root / "cran", found["r-cran-r6"], older=OLDER_R6)
    wheels = {
        "probe": layouts.wheel(home, "probe", "2.0", requires=("probe-part",)),
        "probe-part": layouts.wheel(home, "probe_part", "1.0"),
    }
    layouts.simple_index(root, wheels)
    # An older numpy is installed in the image: whoever is content with it must get it.
    layouts.simple_index(root, {"numpy": layouts.wheel(home, "numpy", "9.0")})
    content = layouts.wheel(home, "content", "1.0", requires=("numpy>=1",))
    layouts.simple_index(root, {"content": content})
    return root


@pytest.fixture(scope="session")
def key(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("archive")
    return layouts.debian(root / "debian", home, {"plasmid-probe": "1.2-3"})


@pytest.fixture(scope="session")
def started(root: Path, commit: str) -> Iterator[serving.Mirror]:
    assert commit  # it is there before it is served
    with serving.served(root) as mirror:
        yield mirror


@pytest.fixture
def mirror(started: serving.Mirror) -> Iterator[serving.Mirror]:
    """The mirror, without faults."""
    started.faults = []
    started.asked.clear()
    yield started
    started.faults = []


@pytest.fixture
def installer(bench: Bench, mirror: serving.Mirror, key: Path) -> Installer:
    return Installer(bench, mirror, key)


@pytest.fixture(scope="session")
def scripting(bench: Bench, started: serving.Mirror, key: Path) -> Path:
    """A layer with Ruby and cpanminus; the gems that it makes are put into the mirror."""
    script = Path(__file__).with_name("gems.sh").read_text()
    ran = Installer(bench, started, key).sandbox(script)
    (ran.changes / "srv/gems").rename(started.root / "gems")
    return ran.changes
