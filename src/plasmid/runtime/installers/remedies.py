"""What a line of a manager's output means, and what to do about it."""

from __future__ import absolute_import, unicode_literals

import re

NOT_ALLOWED = (
    "an installation may not reach that host: name it in access.network of the executable, or in "
    "[network] package_hosts of plasmid.toml"
)
UNREACHABLE = (
    "the mirror cannot be reached or does not answer: check the host's network and [mirrors] %s of "
    "plasmid.toml, then run the job again"
)
BUSY = "the mirror refuses more requests for now: run the job again later, or set [mirrors] %s"
CHANGED = "the mirror serves other bytes than its index or the lock promises: check the mirror"
GONE = "the mirror lacks a file that its index names: run the job again later, or check the mirror"
BUILD = "add what it needs to build to execDepends, before it: %s"

# The cause before its effects; the first that fits is told.
COMMON = (
    (r"No space left on device|Errno 28", "ask for an instance type with more storage"),
    (r"403 +Forbidden|this job may not reach|CONNECT tunnel failed, response 403", NOT_ALLOWED),
    (r"\b429\b|Too Many Requests", BUSY),
    (r"\b404 +Not Found \[IP|HTTP error 404 while getting", GONE),
    (
        (
            r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|Hash Sum mismatch|File has unexpected size"
            r"|Mirror sync in progress|checksum mismatch|[Cc]hecksum .*(wrong|differ)"
        ),
        CHANGED,
    ),
)
UNREACHABLE_SIGNS = (
    r"Could not connect|Unable to connect|Connection refused|Cannot connect to proxy|timed? ?out"
    r"|Connection failed|Could not resolve|502 +Bad Gateway|Bad Gateway|cannot reach|No route"
    r"|Connection reset|Remote end closed|Temporary failure|503 +Service|50[0-9] +\w+"
    r"|NewConnectionError|ConnectTimeout|operation was slow|too slow|Failed to fetch"
    r"|cannot open URL|SocketError|cannot be downloaded|does not answer"
)
BY_MANAGER = {
    "apt": (
        (
            r"^[WE]: Failed to fetch .*(connect|Connect|time|Time|resolv|50[0-9])",
            UNREACHABLE,
        ),
        (
            r"Unable to locate package|has no installation candidate|Couldn't find any package",
            (
                "the base image's distribution has no package of that name: correct the name, "
                "choose another release, or name what stands for it in [packages.substitutes] "
                "of plasmid.toml"
            ),
        ),
        (
            r"Version '",
            (
                "the base image's distribution has other versions: drop or change `version`, or "
                'set [packages] version_mismatch = "nearest" in plasmid.toml'
            ),
        ),
        (
            r"unmet dependencies|held broken packages",
            "these packages cannot be installed together: drop or change their versions",
        ),
        (
            r"returned an error code|error processing",
            "the package's own set-up failed: the job's log says why",
        ),
    ),
    "pip": (
        (r"connection broken by|[Rr]ead timed out|Max retries exceeded", UNREACHABLE),
        (r"externally-managed", "set PIP_BREAK_SYSTEM_PACKAGES=1 in the base image"),
        (
            r"from versions: none|not found in the package registry|404 Client Error",
            (
                "no package of that name is in the index, or none for this Python: check the name "
                "and [mirrors] pip"
            ),
        ),
        (
            r"No matching distribution found|no version of|Could not find a version",
            "check the version: the index has others, of which some may want another Python",
        ),
        (
            r"Python\.h|command '?\S*gcc'? failed|error: command|No such file or directory: 'gcc'",
            BUILD % "build-essential and python3-dev by apt",
        ),
        (
            r"Failed building wheel|subprocess-exited-with-error|metadata-generation-failed",
            (
                "the package does not build here: ask for a version that has a wheel for this "
                "Python, or add what it needs by apt, before it"
            ),
        ),
        (r"ResolutionImpossible|conflicting dependencies", "ask for versions that fit together"),
    ),
    "gem": (
        (r"Exception while verifying|package is corrupt|Gem::Package::FormatError", CHANGED),
        (r"Unable to download data|too many connection resets", UNREACHABLE),
        (
            r"Could not find a valid gem",
            "check the name and the version: the gem sources have no such gem",
        ),
        (
            r"requires Ruby version",
            "ask for a `version` that runs on the base image's Ruby",
        ),
        (
            r"Failed to build gem native extension|mkmf",
            BUILD % "build-essential and ruby-dev by apt",
        ),
    ),
    "cpan": (
        (
            r"Couldn't find module or a distribution|Finding .* failed|not found on CPAN",
            "check the name: no CPAN mirror has such a module",
        ),
        (
            r"which doesn't satisfy|Installed version .* is not in range",
            "check the version: CPAN's current one is older",
        ),
        (
            r"Configure failed|Make failed|failed\. See .*build\.log",
            BUILD % "build-essential and libperl-dev by apt",
        ),
    ),
    "cran": (
        (r"embedded nul|not a gzip|incomplete block|crc error|invalid tar|untar", CHANGED),
        (r"Timeout .*was reached|cannot open URL|download\.file", UNREACHABLE),
        (
            r"is not available|no package called|no version",
            "check the name and the version: CRAN has no such package for this version of R",
        ),
        (
            r"gcc: (not found|No such file)|make: .*Error|compilation failed|command not found",
            BUILD % "r-base-dev and the libraries it names by apt",
        ),
    ),
    "git": (
        (r"^build_commands", "correct build_commands: the job's log has what they printed"),
        (
            r"[Rr]epository .* not found|not found$|does not appear to be a git repository",
            "check the url: there is no such repository, or it is not public",
        ),
        (
            r"could not read Username|Authentication failed|Permission denied",
            "the repository is not public: bundle its files with the executable instead",
        ),
        (
            r"did not match any|pathspec|invalid reference|unable to read tree",
            "check `tag`: there is none such",
        ),
        (r"transport '.*' not allowed|protocol", "give the url as https://, ssh:// or git://"),
        (r"fatal: destination path", "give each git dependency a `destdir` of its own"),
    ),
}
BY_MANAGER["pip3"] = BY_MANAGER["pip"]


def of(manager, lines, log_path):
    """Return what to do about a manager's output."""
    text = "\n".join(lines)
    setting = "pip" if manager == "pip3" else manager
    rows = COMMON + ((r"Temporary failure resolving", UNREACHABLE),)
    rows += BY_MANAGER[manager] + ((UNREACHABLE_SIGNS, UNREACHABLE),)
    for sign, advice in rows:
        if re.search(sign, text, re.MULTILINE):
            return advice % setting if "%s" in advice else advice
    return "read the job's log, which has all of %s" % log_path
