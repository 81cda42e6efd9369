"""Which version of the client and of what it needs goes into a base image, by Python; pure.

All is pinned: an image made next year holds what an image made today holds, and no index is asked
to choose. The host fetches these; nothing here is installed on the host.
"""

from __future__ import annotations

from typing import Final

import msgspec

_EVERYWHERE: Final = (
    "awscrt==0.38.1",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "crc32c==2.7.1",
    "dxpy==0.413.0",
    "psutil==7.2.2",
    "python-dateutil==2.9.0.post0",
    "six==1.17.0",
    # 1.9 turns the close frame by which dx watch knows a restart into garbage.
    "websocket-client==1.8.0",
)


class Client(msgspec.Struct, frozen=True):
    """The client for one Python: wheels to fetch, and projects that exist as source only.

    `builds_inside` says that sources are built by the image's Python, which ours cannot stand for.
    """

    python: str
    wheels: tuple[str, ...]
    sources: tuple[str, ...]
    abis: tuple[str, ...]
    pip: str = ""
    builds_inside: bool = False

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything that is installed."""
        return (*self.wheels, *self.sources)

    @property
    def version(self) -> str:
        """The version of dxpy."""
        return next(r for r in self.requirements if r.startswith("dxpy==")).removeprefix("dxpy==")


def _python3(python: str, *more: str) -> Client:
    pins = (*_EVERYWHERE, *more)
    return Client(
        python=python,
        wheels=tuple(sorted(pin for pin in pins if not pin.startswith("dxpy"))),
        sources=tuple(pin for pin in pins if pin.startswith("dxpy")),
        abis=(f"cp{python.replace('.', '')}", "abi3", "none"),
    )


# requests comes beside dxpy and not from the distribution: it must agree with dxpy's urllib3.
_OLDER: Final = ("argcomplete==1.12.3", "idna==3.15", "requests==2.32.4", "urllib3==2.2.3")
_NEWER: Final = ("argcomplete==3.7.2", "idna==3.20", "requests==2.34.2", "urllib3==2.7.0")

# And numpy with scipy, where pip must build and replace what needs them. Focal's own are older
# than what pip builds against; 1.23 has the C interface of 1.24, the last for Python 3.8, and
# is the last beside which focal's packages of pandas and h5py are imported. Noble's own are of
# the right age, but pip cannot replace them; noble's packages of pandas and h5py need numpy 1.
_NUMPY_FOCAL: Final = ("numpy==1.23.5", "scipy==1.10.1")
_NUMPY_NOBLE: Final = ("numpy==1.26.4", "scipy==1.11.4")

_PIP: Final = "pip==20.3.4"
"""The last pip that runs on Python 2.7 and 3.5."""

PYTHON_2: Final = Client(
    python="2.7",
    wheels=(
        "argcomplete==1.9.5",
        "certifi==2021.10.8",
        "cffi==1.15.1",
        "chardet==4.0.0",
        "cryptography==3.3.2",
        "enum34==1.1.10",
        "futures==3.4.0",
        "idna==2.10",
        "ipaddress==1.0.23",
        "psutil==5.9.8",
        "pycparser==2.21",
        "python-dateutil==2.9.0.post0",
        "requests==2.27.1",
        "setuptools==44.1.1",
        "six==1.17.0",
        "urllib3==1.26.20",
        "websocket-client==0.54.0",
        "wheel==0.37.1",
    ),
    sources=("backports.ssl_match_hostname==3.5.0.1", "dxpy==0.364.0"),
    abis=("cp27mu", "abi3", "none"),
    pip=_PIP,
    builds_inside=True,
)
"""dxpy 0.364.0 is the last that runs on Python 2.7."""

PYTHON_3: Final = {
    "3.5": Client(
        python="3.5",
        wheels=(
            "argcomplete==1.9.5",
            "certifi==2021.10.8",
            "chardet==4.0.0",
            "idna==2.10",
            "python-dateutil==2.9.0.post0",
            "requests==2.25.1",
            "setuptools==44.1.1",
            "six==1.17.0",
            "urllib3==1.26.9",
            "websocket-client==0.54.0",
            "wheel==0.37.1",
        ),
        sources=("dxpy==0.364.0",),
        abis=("cp35m", "abi3", "none"),
        pip=_PIP,
        builds_inside=True,
    ),
    "3.8": _python3("3.8", *_OLDER, *_NUMPY_FOCAL),
    "3.9": _python3("3.9", *_OLDER),
    "3.11": _python3("3.11", *_NEWER),
    "3.12": _python3("3.12", *_NEWER, *_NUMPY_NOBLE),
}
"""By Python; dxpy 0.413.0 needs 3.8, and psutil has no wheel for 3.5: there it is a package."""


def platforms(machine: str, glibc_minor: int) -> list[str]:
    """Return the platform tags of wheels that run on a release with that glibc (2.N) or older."""
    minors = (39, 36, 35, 34, 31, 28, 27, 24, 23, 17, 12, 5)
    tags = [f"manylinux_2_{minor}_{machine}" for minor in minors if minor <= glibc_minor]
    return [*tags, f"manylinux2014_{machine}", "any"]


def wheel_options(client: Client, machine: str, glibc_minor: int) -> list[str]:
    """Return pip's options that make it fetch wheels for the image's Python, not for its own."""
    return [
        "--only-binary=:all:",
        f"--python-version={client.python}",
        "--implementation=cp",
        *(f"--abi={abi}" for abi in client.abis),
        *(f"--platform={name}" for name in platforms(machine, glibc_minor)),
    ]
