"""Every setting of Plasmid: what it means, its default, and where its value came from.

A value comes from, in this order: a PLASMID_* variable, the file `plasmid.toml` in the home folder
(or the file that PLASMID_CONFIG names), the default. Nothing has to be set. The variable of
`[server] port` is PLASMID_SERVER_PORT; lists are separated by commas. Tables like `[images]` are
set by the file only.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from plasmid.config_sections import (
    Containers,
    ImageSources,
    Jobs,
    Layers,
    Logs,
    Network,
    Server,
    Ssh,
    WebApps,
)
from plasmid.environments.mirrors import Packages
from plasmid.environments.mirrors import Settings as Mirrors

FILE_NAME: Final = "plasmid.toml"
DEFAULT: Final = "default"
MACHINE: Final = "this machine"
_PORT_MAX: Final = 65_535
_CA_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class ConfigError(Exception):
    """A setting is wrong; the message names the file or variable, the key and the remedy."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings in force; `origins` says of each dotted key where its value came from."""

    home: Annotated[Path, Meta(description="Folder of images, data and running jobs.")]
    engine: Annotated[
        str,
        Meta(
            pattern="^(auto|crun|runc|podman|simulated)$",
            description="What makes sandboxes: auto, crun, runc, podman (no root) or simulated.",
        ),
    ] = "auto"
    server: Annotated[Server, Meta(description="The API server.")] = Server()
    jobs: Annotated[Jobs, Meta(description="Running jobs.")] = Jobs()
    network: Annotated[Network, Meta(description="The network of jobs.")] = Network()
    layers: Annotated[Layers, Meta(description="Layers of installed dependencies.")] = Layers()
    containers: Annotated[Containers, Meta(description="Containers in jobs.")] = Containers()
    logs: Annotated[Logs, Meta(description="The logs of jobs.")] = Logs()
    ssh: Annotated[Ssh, Meta(description="SSH into jobs.")] = Ssh()
    web_apps: Annotated[WebApps, Meta(description="Web applications in jobs.")] = WebApps()
    images: Annotated[
        dict[str, str],
        Meta(
            description="Which base image serves a release, where it is not the release's own: "
            '"Ubuntu 20.04" = "debian-12".'
        ),
    ] = msgspec.field(default_factory=dict)
    image_sources: Annotated[ImageSources, Meta(description="Where base images are made from.")] = (
        ImageSources()
    )
    mirrors: Annotated[Mirrors, Meta(description="Mirrors of package managers.")] = Mirrors()
    packages: Annotated[
        Packages, Meta(description="Packages that a base image does not have as asked for.")
    ] = Packages()
    origins: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def data_folder(self) -> Path:
        """The folder of the database, files and logs of `plasmid serve`."""
        return Path(self.server.data).expanduser() if self.server.data else self.home / "data"

    def fitting(self) -> Config:
        """Return the same settings with `fit`: jobs that are too large run with what there is."""
        return msgspec.structs.replace(self, jobs=msgspec.structs.replace(self.jobs, fit=True))

    @property
    def layers_folder(self) -> Path:
        """The folder of layers: what installed dependencies leave."""
        return self.home / "layers"

    @property
    def tools_folder(self) -> Path:
        """The folder of the tools with which jobs run containers."""
        return self.home / "tools"

    @property
    def images_folder(self) -> Path:
        """The folder of base images."""
        return self.home / "images"


class Row(msgspec.Struct, frozen=True):
    """One line of `plasmid config`."""

    key: str
    value: str
    origin: str
    meaning: str


def load(environ: Mapping[str, str], *, file: Path | None = None) -> Config:
    """Return the settings in force; raises ConfigError naming the file or variable and the key."""
    home, home_origin = _home(environ)
    path, must_exist = _file(environ, home, file)
    origins = {"home": home_origin}
    tree: dict[str, Any] = {}
    if must_exist or path.exists():
        tree = _read(path)
        origins |= {".".join(key): str(path) for key in _keys(tree)}
    variables = _variables(environ)
    for (key, text), variable in variables.items():
        _put(tree, key, text)
        origins[".".join(key)] = f"${variable}"
    names = {".".join(key): variable for (key, _), variable in variables.items()}
    config = _convert({**tree, "home": home, "origins": {}}, path, names)
    return _with_machine(config, environ, origins)


def describe(config: Config) -> list[Row]:
    """Return one row for each setting: its value, where it came from and what it means."""
    rows = []
    for key, meta, _ in settings():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        origin = config.origins.get(key, DEFAULT)
        if isinstance(value, dict):
            keys = [name for name in config.origins if name.startswith(f"{key}.")]
            origin = config.origins[keys[0]] if keys else DEFAULT
        rows.append(Row(key, _shown(value), origin, meta.description or ""))
    return rows


def settings() -> list[tuple[str, Meta, Any]]:
    """Return (dotted key, meta, default) of every setting, in order."""
    found: list[tuple[str, Meta, Any]] = []
    _collect(Config, (), found)
    return found


def _collect(struct: type, prefix: tuple[str, ...], found: list[tuple[str, Meta, Any]]) -> None:
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        if typing.get_origin(hint) is not Annotated:
            continue
        inner, meta = typing.get_args(hint)
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _collect(inner, (*prefix, field.name), found)
            continue
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        found.append((".".join((*prefix, field.name)), meta, default))


def _home(environ: Mapping[str, str]) -> tuple[Path, str]:
    if given := environ.get("PLASMID_HOME"):
        return Path(given).expanduser().absolute(), "$PLASMID_HOME"
    if os.geteuid() == 0:
        return Path("/var/lib/plasmid"), DEFAULT
    return Path("~/.plasmid").expanduser(), DEFAULT


def _file(environ: Mapping[str, str], home: Path, file: Path | None) -> tuple[Path, bool]:
    if file is not None:
        return file, True
    if given := environ.get("PLASMID_CONFIG"):
        return Path(given).expanduser(), True
    return home / FILE_NAME, False


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    for forbidden in ("home", "origins"):
        if forbidden in tree:
            where = _place(path, forbidden)
            raise ConfigError(f'{where}: unknown key "{forbidden}"; set PLASMID_HOME instead')
    return tree


def _keys(tree: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the path of every value in a tree of tables."""
    keys: list[tuple[str, ...]] = []
    for name, value in tree.items():
        inner = _keys(value) if isinstance(value, dict) else [()]
        keys += [(name, *rest) for rest in inner]
    return keys


def _variables(environ: Mapping[str, str]) -> dict[tuple[tuple[str, ...], Any], str]:
    """Return {(key, value): variable} for the PLASMID_* variables that are settings."""
    found: dict[tuple[tuple[str, ...], Any], str] = {}
    known = {f"PLASMID_{key.upper().replace('.', '_')}": key for key, _, _ in settings()}
    tables = {name for name, _, default in settings() if isinstance(default, dict)}
    sections = {f"PLASMID_{key.split('.')[0].upper()}_" for key in known.values() if "." in key}
    for variable, text in environ.items():
        key = known.get(variable)
        if key in tables:
            raise ConfigError(f"{variable}: set [{key}] in plasmid.toml instead")
        if key == "home":
            continue
        if key is not None:
            found[(tuple(key.split(".")), text)] = variable
        elif variable.startswith(tuple(sections)):
            raise ConfigError(f"{variable}: no such setting{_meant(variable, known)}")
    return found


def _put(tree: dict[str, Any], key: tuple[str, ...], text: str) -> None:
    for part in key[:-1]:
        tree = tree.setdefault(part, {})
    lists = {name for name, _, default in settings() if isinstance(default, list)}
    tree[key[-1]] = _items(text) if ".".join(key) in lists else text


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _convert(tree: dict[str, Any], path: Path, variables: Mapping[str, str]) -> Config:
    try:
        # strict=False lets a variable's text stand for a number; the file's types are checked here.
        for key in _keys(tree):
            _refuse_text_for_number(key, tree, path, variables)
        return msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(str(error), path, variables)) from error


def _refuse_text_for_number(
    key: tuple[str, ...], tree: Mapping[str, Any], path: Path, variables: Mapping[str, str]
) -> None:
    dotted = ".".join(key)
    defaults = {name: default for name, _, default in settings()}
    value: Any = tree
    for part in key:
        value = value[part]
    is_text = isinstance(value, str) and dotted not in variables
    if is_text and isinstance(defaults.get(dotted), int):
        where = _place(path, dotted)
        kind = "true or false" if isinstance(defaults[dotted], bool) else "a number"
        raise ConfigError(f'{where}: {_titled(dotted)} must be {kind}, not "{value}"')


def _explained(message: str, path: Path, variables: Mapping[str, str]) -> str:
    """Return msgspec's message with the file and line, or the variable, in front."""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    at = re.search(r" - at `\$\.?([^`]*)`$", message)
    inside = re.sub(r"\[[^]]*\]", "", at.group(1)) if at else ""
    text = message[: at.start()] if at else message
    if unknown:
        key = f"{inside}.{unknown.group(1)}" if inside else unknown.group(1)
        known = [name for name, _, _ in settings()]
        return f'{_place(path, key)}: unknown key "{key}"{_meant(key, known)}'
    if inside in variables:
        return f"{variables[inside]}: {text}"
    return f"{_place(path, inside)}: {_titled(inside)}: {text}"


def _titled(dotted: str) -> str:
    section, _, name = dotted.rpartition(".")
    return f"[{section}] {name}" if section else name


def _meant(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _place(path: Path, dotted: str) -> str:
    """Return `file, line N` of a key, or the file alone where the line cannot be told."""
    section, _, name = dotted.rpartition(".")
    current = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if table := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            current = table.group(1).strip("\"'")
            if current == dotted:
                return f"{path}, line {number}"
        elif key := re.match(r"\s*([^=#]+?)\s*=", line):
            written = key.group(1).strip("\"'")
            if (current, written) == (section, name) or (not current and written == dotted):
                return f"{path}, line {number}"
    return str(path)


def _check_networks(networks: list[str], origin: str) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            where = f"{origin}: [network] closed_addresses"
            raise ConfigError(f"{where}: {error}; write it as 10.0.0.0/8") from error


def _check_ports(ports: str, origin: str) -> None:
    first, _, last = ports.partition("-")
    if ports and not 1 <= int(first) <= int(last) <= _PORT_MAX:
        where = f"{origin}: [ssh] ports"
        raise ConfigError(f"{where}: {ports} is no range of ports; write it as 22000-22999")


def disk_bytes(folder: Path) -> int:
    """Return how large the disk is that a folder is on, or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    found = os.statvfs(there)
    return found.f_blocks * found.f_frsize


def _with_machine(config: Config, environ: Mapping[str, str], origins: dict[str, str]) -> Config:
    """Fill what is left to the machine: how much memory, which certificates."""
    jobs, network = config.jobs, config.network
    _check_networks(network.closed_addresses, origins.get("network.closed_addresses", ""))
    _check_ports(config.ssh.ports, origins.get("ssh.ports", ""))
    if jobs.memory_bytes == 0:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        jobs = msgspec.structs.replace(jobs, memory_bytes=total * 4 // 5)
        origins["jobs.memory_bytes"] = MACHINE
    if jobs.cores == 0:
        jobs = msgspec.structs.replace(jobs, cores=len(os.sched_getaffinity(0)))
        origins["jobs.cores"] = MACHINE
    if jobs.disk_bytes == 0:
        jobs = msgspec.structs.replace(jobs, disk_bytes=disk_bytes(config.home))
        origins["jobs.disk_bytes"] = MACHINE
    if not network.ca_bundle:
        candidates = (environ.get("SSL_CERT_FILE", ""), *_CA_BUNDLES)
        found = next((name for name in candidates if name and Path(name).is_file()), "")
        network = msgspec.structs.replace(network, ca_bundle=found)
        origins["network.ca_bundle"] = MACHINE
    elif not Path(network.ca_bundle).is_file():
        origin = origins["network.ca_bundle"]
        raise ConfigError(f"{origin}: [network] ca_bundle: there is no file {network.ca_bundle}")
    return msgspec.structs.replace(config, jobs=jobs, network=network, origins=origins)


def _shown(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f'"{name}" = "{item}"' for name, item in value.items())
        case list() | types.GenericAlias():
            return ", ".join(map(str, value))
        case _:
            return str(value)
