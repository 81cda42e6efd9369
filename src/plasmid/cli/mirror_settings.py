"""What `plasmid doctor` says of the mirrors that jobs' package managers are sent to."""

from __future__ import annotations

from collections.abc import Mapping

from plasmid import bootstrap, config

_WHAT = "mirrors"


def judge(environ: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Return findings (level, what, found, remedy) on `[mirrors]` and this host's own settings."""
    try:
        found = bootstrap.mirrors_of(config.load(environ), environ)
    except config.ConfigError as error:
        return [("FAIL", _WHAT, str(error), "correct it")]
    remedy = "jobs cannot reach folders of this host: serve it by HTTP and name it in [mirrors]"
    told = [("warn", _WHAT, f"left out: {skipped}", remedy) for skipped in found.skipped]
    managers = ("apt", "pip", "gem", "cpan", "cran")
    places = {m: ", ".join(found.hosts(m)) for m in managers if found.hosts(m)}
    if places:
        told.append(("ok", _WHAT, "; ".join(f"{m}: {there}" for m, there in places.items()), ""))
    return told or [("ok", _WHAT, "each package manager's own", "")]
