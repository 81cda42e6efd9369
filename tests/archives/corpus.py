"""Hostile, damaged and odd archives, and what unpacking each at `/` must come to.

Every archive keeps to names of its own (`place`), so that one sandbox can take many of them. What
would ruin the sandbox for the others is in `alone`.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.archives import formats as f

CLIMBS: Final = "climbs out of the folder"
DAMAGED: Final = "it is damaged"
SHORT: Final = "it is cut short"
BOMB: Final = "it unpacks to more than"
MANY: Final = "has more than 1000000 entries"


class Case(NamedTuple):
    """An archive that keeps to a place; `fails` is a part of the reason, None if it is unpacked.

    `has` tells what is at a path then: `file TEXT`, `link TARGET`, `folder`, `fifo`, `mode OCTAL`,
    `size BYTES` or `nothing`.
    """

    title: str
    place: str
    name: str
    content: bytes
    fails: str | None = None
    has: dict[str, str] = {}  # noqa: RUF012 - never changed


def lzma_alone(content: bytes) -> bytes:
    return lzma.compress(content, format=lzma.FORMAT_ALONE)


Pack = Callable[[bytes], bytes]
PACKED: Final[dict[str, Pack]] = {
    "tar": lambda content: content,
    "tar.gz": gzip.compress,
    "tbz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.lzma": lzma_alone,
}


class Places:
    """Names that no other archive of the corpus has."""

    def __init__(self) -> None:
        self._number = 0

    def next(self) -> str:
        self._number += 1
        return f"srv/case{self._number:04}"


def cases() -> list[Case]:
    """Return the archives that one sandbox can take one after the other."""
    places = Places()
    made = []
    for family in FAMILIES:
        made += list(family(places))
    return made


def tarred(title: str, place: str, *entries: bytes, **expected: object) -> Iterator[Case]:
    """The same entries as a plain tar archive and under one of the packings, by turns."""
    endings = list(PACKED)
    for ending in ("tar", endings[1 + int(place[-4:]) % (len(endings) - 1)]):
        content = PACKED[ending](f.tar(entries))
        yield case(f"{title}, {ending}", f"a.{ending}", content, place, **expected)


def one_tar(title: str, place: str, *entries: bytes, **expected: object) -> Case:
    return case(title, "a.tar", f.tar(entries), place, **expected)


def case(title: str, name: str, content: bytes, place: str, **expected: object) -> Case:
    """A case; the paths of `has` are below `place` unless they are absolute."""
    fails, has = expected.get("fails"), expected.get("has", {})
    assert fails is None or isinstance(fails, str)
    assert isinstance(has, dict)
    found = {path if path[0] == "/" else f"/{place}/{path}": what for path, what in has.items()}
    return Case(title, place, name, content, fails, found)


def climbing(places: Places) -> Iterator[Case]:
    """Names with `..` are refused in every spelling, format and header."""
    for pattern in (
        "../{}/x",
        "a/../../{}/x",
        "a/b/../../../{}/x",
        "./../{}/x",
        "/../{}/x",
        "a//..//{}/x",
        "{}/..",
        "{}/a/../x",
        "../../../../../../../../{}/x",
    ):
        place = places.next()
        name = pattern.format(place)
        refused: dict[str, object] = {"fails": CLIMBS, "has": {"x": "nothing"}}
        yield from tarred(f"{pattern} as a name", place, f.file(name), **refused)
        entries = {
            "PAX path": [f.pax({"path": name}), f.file("plain")],
            "PAX path for all": [f.pax({"path": name}, for_all=True), f.file("plain")],
            "GNU long name": [f.long_name(name), f.file("plain")],
            "GNU sparse name": [f.pax({"GNU.sparse.name": name}), f.file("plain")],
            "a hardlink's target": [f.file(f"{place}/y"), f.hardlink(f"{place}/x", name)],
            "a PAX linkpath": [f.pax({"linkpath": name}), f.hardlink(f"{place}/x", "y")],
            "a GNU long link": [f.long_name(name, b"K"), f.hardlink(f"{place}/x", "y")],
            "a folder": [f.folder(name)],
            "a link's own name": [f.symlink(name, "/etc")],
        }
        for where, made in entries.items():
            yield one_tar(f"{pattern} as {where}", place, *made, **refused)
        yield case(f"{pattern} in zip", "a.zip", f.zipped({name: b"x"}), place, **refused)
        yield case(f"{pattern} in 7z", "a.7z", f.seven_zip({name: b"x"}), place, **refused)
    place = places.next()
    block = f.header(b"x", prefix=b"../" + place.encode(), size=1) + f.padded(b"x")
    yield one_tar(".. in the prefix", place, block, fails=CLIMBS, has={"x": "nothing"})
    for ending, member in (("zip", "..\\x"), ("tar", "..x/...")):
        place = places.next()
        content = f.zipped({f"{place}/{member}": b"x"})
        if ending == "tar":
            content = f.tar([f.file(f"{place}/{member}")])
        yield case(f"{member} is a name", f"a.{ending}", content, place, has={member: "file x"})


def absolute(places: Places) -> Iterator[Case]:
    """Absolute names mean the sandbox's own root."""
    for pattern in ("/{}/x", "//{}/x", "/./{}/./x", "///{}//x"):
        place = places.next()
        name = pattern.format(place)
        yield from tarred(pattern, place, f.file(name), has={"x": "file x"})
        place = places.next()
        yield case(
            f"{pattern} in zip",
            "a.zip",
            f.zipped({pattern.format(place): b"x"}),
            place,
            has={"x": "file x"},
        )
    place = places.next()
    yield one_tar(
        "absolute PAX path",
        place,
        f.pax({"path": f"/{place}/x"}),
        f.file("plain"),
        has={"x": "file x"},
    )


def through_links(places: Places) -> Iterator[Case]:
    """A file through a link lands inside, wherever the link leads."""
    for target in (
        "/{}/real",
        "real",
        "./real",
        "../{name}/real",
        "/../../{}/real",
        "loop/../real",
    ):
        place = places.next()
        link = f.symlink(f"{place}/link", target.format(place, name=place.rpartition("/")[2]))
        entries = [f.folder(f"{place}/real"), link, f.file(f"{place}/link/x")]
        fails = "tar ended with code 2" if "loop" in target else None
        has = {"link": f"link {target.format(place, name=place.rpartition('/')[2])}"}
        has |= {"real/x": "nothing" if fails else "file x"}
        yield from tarred(
            f"a file through a link to {target}", place, *entries, fails=fails, has=has
        )
    place = places.next()
    chain = [f.symlink(f"{place}/l{n}", f"l{n + 1}") for n in range(20)]
    yield one_tar(
        "through a chain of links",
        place,
        f.folder(f"{place}/l20"),
        *chain,
        f.file(f"{place}/l0/x"),
        has={"l20/x": "file x"},
    )
    for target in ("/proc/1/root", "/proc/self/root", "/proc/self/cwd"):
        place = places.next()
        entries = [f.symlink(f"{place}/link", target), f.file(f"{place}/link/{place}/x")]
        yield one_tar(f"through {target}", place, *entries, has={"x": "file x"})
    for target in ("/sys/kernel", "/proc/sys/kernel"):
        place = places.next()
        entries = [f.symlink(f"{place}/link", target), f.file(f"{place}/link/x")]
        yield one_tar(f"through {target}", place, *entries, fails="tar ended with code 2")
    place = places.next()
    yield one_tar(
        "a link to itself",
        place,
        f.symlink(f"{place}/l", "l"),
        f.file(f"{place}/l/x"),
        fails="tar ended with code 2",
    )
    place = places.next()
    made = f.raw_zip(
        [
            f.ZipEntry(f"{place}/link".encode(), b"/etc", mode=0o120777),
            f.ZipEntry(f"{place}/link/x".encode()),
        ]
    )
    yield case("a zip's file through its link", "a.zip", made, place, fails="File exists")


def hardlinks(places: Places) -> Iterator[Case]:
    """A hard link stays inside, whatever it links to."""
    for target in ("{}/y", "/{}/y", "./{}/y"):
        place = places.next()
        yield from tarred(
            f"hard link to {target}",
            place,
            f.file(f"{place}/y", b"y"),
            f.hardlink(f"{place}/x", target.format(place)),
            has={"x": "file y"},
        )
    place = places.next()
    to_link = [f.symlink(f"{place}/l", "/etc/hostname"), f.hardlink(f"{place}/x", f"{place}/l")]
    then = f.file(f"{place}/x", b"changed")
    yield one_tar("hard link to a link", place, *to_link, has={"x": "link /etc/hostname"})
    yield one_tar(
        "a file over a hard link to a link",
        place,
        *to_link,
        then,
        has={"x": "file changed", "/etc/hostname": "file localhost\n"},
    )
    place = places.next()
    system = f.hardlink(f"{place}/x", "/usr/bin/env")
    yield one_tar(
        "a file over a hard link to a system file",
        place,
        system,
        f.file(f"{place}/x", b"changed"),
        has={"x": "file changed", "/usr/bin/env": "mode 755"},
    )
    for target in ("{}/nothing", "{}/x", "/proc/1/exe", "/dev/null", "/opt/cases/cases.json"):
        place = places.next()
        link = f.hardlink(f"{place}/x", target.format(place))
        yield one_tar(f"hard link to {target}", place, link, fails="tar ended with code 2")


def special_files(places: Places) -> Iterator[Case]:
    """Devices are left out and what follows is unpacked; FIFOs are made."""
    for kind in (b"3", b"4"):
        for numbers in ((0, 0), (1, 3), (1, 1), (8, 0), (7, 7), (4095, 255)):
            place = places.next()
            made = f.device(f"{place}/device", kind, *numbers)
            has = {"device": "nothing", "x": "file x"}
            title = f"device {kind.decode()} {numbers}"
            yield one_tar(title, place, made, f.file(f"{place}/x"), has=has)
        place = places.next()
        before = f.long_name(f"{place}/" + "d" * 150) + f.pax({"mtime": "1"})
        entries = [before + f.device("device", kind, 1, 3), f.file(f"{place}/x")]
        has = {"d" * 150: "nothing", "device": "nothing", "x": "file x"}
        yield one_tar("device with headers of its own", place, *entries, has=has)
    place = places.next()
    yield from tarred("FIFO", place, f.fifo(f"{place}/p"), has={"p": "fifo"})
    for mode in (0o010644, 0o020644, 0o060644, 0o140644):
        place = places.next()
        zipped = [
            f.ZipEntry(f"{place}/p".encode(), b"", mode=mode),
            f.ZipEntry(f"{place}/x".encode()),
        ]
        has = {"p": "nothing", "x": "file x"}
        yield case(f"zip with mode {mode:o}", "a.zip", f.raw_zip(zipped), place, has=has)
    for kind in (b"7", b"V", b"M", b"N", b"Z", b"\0"):
        place = places.next()
        entries = [f.file(f"{place}/odd", kind=kind), f.file(f"{place}/x")]
        yield one_tar(f"entry of kind {kind!r}", place, *entries, **ODD_KINDS.get(kind, {}))


ODD_KINDS: Final[dict[bytes, dict[str, object]]] = {
    b"7": {"has": {"odd": "file x", "x": "file x"}},
    b"\0": {"has": {"odd": "file x", "x": "file x"}},
    b"V": {"has": {"odd": "nothing", "x": "file x"}},
    b"Z": {"has": {"odd": "file x", "x": "file x"}},
    b"N": {"has": {"x": "file x"}},
    b"M": {"fails": "tar ended with code 2"},
}


def modes(places: Places) -> Iterator[Case]:
    """Modes are kept: setuid means the sandbox's own root only. No attribute is restored."""
    for mode in (0o4755, 0o2755, 0o6755, 0o1777, 0o0, 0o444):
        place = places.next()
        entries = [f.file(f"{place}/x", mode=mode)]
        yield one_tar(f"mode {mode:o}", place, *entries, has={"x": f"mode {mode:o}"})
        place = places.next()
        made = f.raw_zip([f.ZipEntry(f"{place}/x".encode(), mode=0o100000 | mode)])
        has = {"x": f"mode {(mode & 0o777) or 0o644:o}"}
        yield case(f"zip with mode {mode:o}", "a.zip", made, place, has=has)
    for name in (
        "SCHILY.xattr.security.capability",
        "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.trusted.overlay.redirect",
        "SCHILY.xattr.user.overlay.whiteout",
        "SCHILY.xattr.user.containers.override_stat",
        "SCHILY.acl.access",
        "SCHILY.acl.default",
        "RHT.security.selinux",
        "LIBARCHIVE.xattr.security.capability",
        "SCHILY.fflags",
    ):
        place = places.next()
        entries = [f.pax({name: "\1\0\0\2\0\x20\0\0"}), f.file(f"{place}/x")]
        yield one_tar(f"attribute {name}", place, *entries, has={"x": "file x"})
    for name in (".wh.x", ".wh..wh..opq"):
        place = places.next()
        entries = [f.file(f"{place}/x"), f.file(f"{place}/{name}", b"")]
        yield one_tar(f"a layer's mark {name}", place, *entries, has={"x": "file x"})


def deep(places: Places) -> Iterator[Case]:
    """Deep folders are made as far as a path can reach."""
    for depth in (10, 100, 900):
        place = places.next()
        name = f"{place}/" + "d/" * depth + "x"
        yield one_tar(
            f"{depth} folders",
            place,
            f.long_name(name),
            f.file("x"),
            has={"d/" * depth + "x": "file x"},
        )
        place = places.next()
        name = f"{place}/" + "d/" * depth + "x"
        yield case(
            f"{depth} folders in zip",
            "a.zip",
            f.zipped({name: b"x"}),
            place,
            has={"d/" * depth + "x": "file x"},
        )
    place = places.next()
    name = f"{place}/" + "d/" * 5000 + "x"
    yield one_tar("5000 folders", place, f.pax({"path": name}), f.file("x"), fails="tar ended")
    zipped = f.zipped({name: b"x"})
    yield case("5000 folders in zip", "a.zip", zipped, place, fails="too long a name")


def twice(places: Places) -> Iterator[Case]:
    """Of entries with one name the last one counts, where one can take the other's place."""
    builders: dict[str, Callable[[str], bytes]] = {
        "1": lambda name: f.file(name, b"1"),
        "2": lambda name: f.file(name, b"2"),
        "link": lambda name: f.symlink(name, "/etc/hostname"),
        "folder": f.folder,
        "FIFO": f.fifo,
    }
    orders: dict[str, dict[str, object]] = {
        "1, 2": {"has": {"x": "file 2"}},
        "link, 2": {"has": {"x": "file 2", "/etc/hostname": "file localhost\n"}},
        "1, link": {"has": {"x": "link /etc/hostname"}},
        "folder, 2": {"has": {"x": "file 2"}},
        "FIFO, 2": {"has": {"x": "file 2"}},
        "2, FIFO": {"has": {"x": "fifo"}},
        "1, folder": {"has": {"x": "folder"}},
    }
    for order, expected in orders.items():
        here = places.next()
        entries = [builders[kind](f"{here}/x") for kind in order.split(", ")]
        yield from tarred(f"twice: {order}", here, *entries, **expected)
    here = places.next()
    made = f.raw_zip([f.ZipEntry(f"{here}/x".encode(), text) for text in (b"1", b"2")])
    yield case("twice in zip", "a.zip", made, here, has={"x": "file 2"})


NAMES: Final = (
    *("File", "file", "FILE", "\ufb01le", "\xe9", "e\u0301", "\u2126", "\u03a9", "\u202egnp.exe"),
    *("new\nline", "\x1b[31m", "a b", " x", "x ", "-rf", "--to-command=false", "*", "?", "[a]"),
    *("$(touch y)", "`id`", "'", '"', "\\", "a\\..\\x", "\t", "\x7f", "\udcff\udcfe", "n" * 255),
    *("😀", "\u200b", "con", "nul.txt", ":", "@x", "#1", "~", "%2e%2e", "..."),
)


def names(places: Places) -> Iterator[Case]:
    """Names are bytes: no two of them are the same, and none of them is code."""
    together = places.next()
    entries = [
        f.pax({"path": f"{together}/{name}"}) + f.file("x", b"%d" % n)
        for n, name in enumerate(NAMES)
    ]
    has = {name: f"file {n}" for n, name in enumerate(NAMES)}
    yield from tarred("all odd names together", together, *entries, has=has)
    for name in NAMES:
        place = places.next()
        if len(name) < 60:
            yield one_tar(f"name {name!r}", place, f.file(f"{place}/{name}"), has={name: "file x"})
        if "\udcff" not in name:
            place = places.next()
            made = f.zipped({f"{place}/{name}": b"x"})
            yield case(f"name {name!r} in zip", "a.zip", made, place, has={name: "file x"})
    place = places.next()
    long = f"{place}/" + "n" * 256
    yield one_tar("a name of 256", place, f.long_name(long), f.file("x"), fails="tar ended")
    yield case("a name of 256 in zip", "a.zip", f.zipped({long: b"x"}), place, fails="too long")
    place = places.next()
    cut = f.file(f"{place}/x\0/../../y".encode())
    yield one_tar("a name with NUL", place, cut, has={"x": "file x"})


def old_sparse(
    place: str,
    real: int,
    pieces: list[tuple[int, int]],
    content: bytes,
    *,
    goes_on: bytes = b"\0",
) -> bytes:
    """A sparse file as GNU tar wrote them first."""
    table = b"".join(f.octal(at, 12) + f.octal(size, 12) for at, size in pieces[:4])
    tail = bytes(41) + table.ljust(96, b"\0") + goes_on + f.binary(real)
    head = f.header(
        f"{place}/x".encode(), kind=b"S", size=len(content), magic=b"ustar  \0", tail=tail
    )
    return head + f.padded(content)


def sparse(places: Places) -> Iterator[Case]:
    """A sparse file counts with its holes."""
    for real, fails in ((1 << 20, None), (1 << 40, BOMB), (1 << 62, BOMB)):
        place = places.next()
        made = old_sparse(place, real, [(0, 4), (real - 4 if not fails else 4096, 4)], b"headtail")
        has = {"x": f"size {real}" if fails is None else "nothing"}
        yield from tarred(f"a sparse file of {real}", place, made, fails=fails, has=has)
        # By PAX a file ends with its last piece.
        has = {"x": "size 4" if fails is None else "nothing"}
        place = places.next()
        records = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": f"{place}/x",
        }
        body = f.padded(b"1\n0\n4\n") + b"head"
        made = f.pax({**records, "GNU.sparse.realsize": str(real)}) + f.file("other", body)
        yield one_tar(f"a sparse file of {real} by PAX 1.0", place, made, fails=fails, has=has)
        place = places.next()
        records = {"GNU.sparse.size": str(real), "GNU.sparse.numblocks": "1"}
        records |= {"GNU.sparse.map": "0,4", "GNU.sparse.name": f"{place}/x"}
        made = f.pax(records) + f.file("other", b"head")
        yield one_tar(f"a sparse file of {real} by PAX 0.1", place, made, fails=fails, has=has)
    for value in ("-1", "x", "", "1e9"):
        place = places.next()
        made = f.pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": value}) + f.file("other")
        yield one_tar(f"a sparse file of {value!r}", place, made, fails=DAMAGED)
    place = places.next()
    lying = old_sparse(place, 8, [(1 << 32, 4), (0, 4)], b"headtail")
    yield one_tar(
        "a sparse file that ends after its end", place, lying, fails="tar ended with code 2"
    )
    place = places.next()
    endless = old_sparse(place, 8, [(0, 8)], b"8 bytes.", goes_on=b"\1")
    yield one_tar("a sparse file whose table goes on", place, endless)


def sizes(places: Places) -> Iterator[Case]:
    """A size that cannot be is told; nothing is read before its beginning."""
    for title, size, fails in (
        ("-1", f.binary(-1), "negative size"),
        ("-2^63", f.binary(-(1 << 63)), "negative size"),
        ("2^62", f.binary(1 << 62), BOMB),
        ("200 GB", f.binary(200 * 10**9), BOMB),
        ("2^86", f.binary(1 << 86), BOMB),
        ("letters", b"size?\0\0\0\0\0\0\0", DAMAGED),
        ("9 in octal", b"00000000009\0", DAMAGED),
        ("minus in octal", b"-0000000001\0", DAMAGED),
        ("10 MB of nothing", f.octal(10**7, 12), SHORT),
    ):
        place = places.next()
        yield from tarred(f"size {title}", place, f.file(f"{place}/x", size=size), fails=fails)
    for value in ("-1", "-99999999999999999999", "9" * 40, "0x10", "1 ", "", "1.5", "²"):
        place = places.next()
        entries = [f.pax({"size": value}), f.file(f"{place}/x")]
        fails = BOMB if value[0:1] == "9" else DAMAGED
        yield one_tar(f"PAX size {value!r}", place, *entries, fails=fails)
    place = places.next()
    entries = [f.pax({"size": "1"}), f.file(f"{place}/x", b"12", size=f.octal(600, 12))]
    yield one_tar("PAX size beside another", place, *entries, has={"x": "file 1"})
    for kind in (b"1", b"2", b"5", b"6"):
        place = places.next()
        odd = f.header(f"{place}/odd".encode(), kind=kind, size=512, link=b"etc/hostname")
        title = f"size of an entry of kind {kind!r} without content"
        yield one_tar(title, place, odd, f.file(f"{place}/x"), has={"x": "file x"})


def headers(places: Places) -> Iterator[Case]:
    """Headers that cannot be read are told."""
    for title, body in (
        ("too long", b"99 path=x\n"),
        ("too short", b"3 path=x\n"),
        ("zero", b"0 path=x\n"),
        ("negative", b"-9 path=x\n"),
        ("no number", b"path=x\n"),
        ("no equals", b"9 pathxx\n"),
        ("huge number", b"9" * 400 + b" path=x\n"),
        ("no space", b"9path=x\n"),
    ):
        place = places.next()
        yield from tarred(
            f"PAX length {title}", place, f.pax_body(body), f.file("x"), fails=DAMAGED
        )
    place = places.next()
    big = f.pax({"comment": "c" * (1 << 20)}) + f.file(f"{place}/x")
    yield one_tar("a PAX header of 1 MB", place, big, fails="extended header of")
    twice = f.pax({"path": f"{place}/y"}) + f.pax({"path": f"{place}/x"}) + f.file("other")
    yield one_tar("two PAX headers", place, twice, has={"x": "file x", "y": "nothing"})
    place = places.next()
    for_all = (
        f.pax({"path": f"{place}/x"}, for_all=True) + f.file("one", b"1") + f.file("two", b"2")
    )
    yield one_tar("a path for all", place, for_all, has={"x": "file 2"})
    place = places.next()
    yield one_tar(
        "PAX header and no more", place, f.pax({"path": f"{place}/x"}), has={"x": "nothing"}
    )
    whole = f.file(f"{place}/x")
    for title, content, fails in (
        ("checksum", f.header(b"x", wrong_by=1), "it is no tar archive"),
        ("checksum of the second", whole + f.header(b"x", wrong_by=1), DAMAGED),
        ("text", b"#!/bin/sh\n" * 100, "it is no tar archive"),
        ("text after an entry", whole + b"#!/bin/sh\n" * 100, DAMAGED),
        ("an ELF file", b"\x7fELF" + bytes(2000), "it is no tar archive"),
        ("one byte", b"x", SHORT),
        ("half a header", whole[:300], SHORT),
        ("half an entry", f.file(f"{place}/x", b"x" * 5000)[:3000], SHORT),
    ):
        for ending, pack in PACKED.items():
            yield case(f"bad {title}, {ending}", f"a.{ending}", pack(content), place, fails=fails)
    for magic in (b"ustar  \0", b"ustar\00000", bytes(8), b"ustar\000\0\0"):
        place = places.next()
        made = f.file(f"{place}/x", magic=magic)
        yield one_tar(f"magic {magic!r}", place, made, has={"x": "file x"})


def cut(places: Places) -> Iterator[Case]:
    """An archive that was cut off fails, wherever it was cut."""
    place = places.next()
    content = f.tar([f.file(f"{place}/x", bytes(range(256)) * 40)])
    packed = {ending: pack(content) for ending, pack in PACKED.items() if ending != "tar"}
    packed |= {"gz": gzip.compress(content), "bz2": bz2.compress(content)}
    packed |= {"xz": lzma.compress(content), "lzma": lzma_alone(content)}
    packed |= {"zip": f.zipped({f"{place}/x": content}), "7z": f.seven_zip({f"{place}/x": content})}
    packed |= {"a": f.ar({"cut-x": content}), "lha": f.lha({f"{place}/x": content})}
    for ending, whole in packed.items():
        for keep in (0, 1, 7, 40, len(whole) // 2, len(whole) - 3):
            # gzip takes nothing for nothing packed; 7z needs not all of its list.
            if (ending, keep) in (("gz", 0), ("7z", len(whole) - 3)):
                continue
            title = f"{ending} cut to {keep} of {len(whole)}"
            yield case(title, f"a.{ending}", whole[:keep], place, fails="unpack a")


def trailing(places: Places) -> Iterator[Case]:
    """What follows the end of an archive does not matter where the format has an end."""
    for title, after in (("text", b"garbage" * 100), ("zeros", bytes(5000)), ("tar", None)):
        place = places.next()
        more = f.tar([f.file(f"{place}/y")]) if after is None else after
        content = f.tar([f.file(f"{place}/x")])
        has = {"x": "file x", "y": "nothing"}
        for ending, pack in PACKED.items():
            yield case(
                f"{title} after the end, {ending}",
                f"a.{ending}",
                pack(content + more),
                place,
                has=has,
            )
        yield case(f"{title} after gzip", "a.tgz", gzip.compress(content) + more, place, has=has)
        zipped = f.zipped({f"{place}/x": b"x"})
        yield case(f"{title} after zip", "a.zip", zipped + more, place, has=has)
        yield case(f"{title} before zip", "a.zip", more + zipped, place, has=has)


def bombs(_places: Places) -> Iterator[Case]:
    """What unpacks to far more than it is does not get far."""
    zeros = bytes(50_000_000)
    packs: dict[str, Pack] = {
        "gz": lambda c: gzip.compress(c, 9),
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    for ending, pack in packs.items():
        content = pack(zeros) * 3
        yield case(f"150 MB in {ending}", f"a.{ending}", content, "", fails=BOMB)
        first = pack(f.header(b"srv/bomb", size=len(zeros) * 3))
        yield case(f"150 MB in tar.{ending}", f"a.tar.{ending}", first + content, "", fails=BOMB)
        ended = pack(f.tar([f.file("srv/bomb")]))
        yield case(
            f"150 MB after the end, {ending}", f"a.tar.{ending}", ended + content, "", fails=BOMB
        )
    deflated = f.zipped({"srv/bomb": zeros * 3})
    yield case("150 MB in zip", "a.zip", deflated, "", fails=BOMB)
    said = [f.ZipEntry(b"srv/bomb", size=0xFFFFFFF0)] * 30
    yield case("120 GB that a zip speaks of", "a.zip", f.raw_zip(said), "", fails=BOMB)
    body = b"x" * 100_000
    one = f.ZipEntry(b"srv/bomb0", body)
    overlapping = [
        one,
        *(
            f.ZipEntry(b"srv/bomb%d" % n, b"", packed=10**5, size=10**5, crc=0, offset=0)
            for n in range(99)
        ),
    ]
    yield case("a zip whose entries overlap", "a.zip", f.raw_zip(overlapping), "", fails="overlap")
    entries = f.header(b"srv/all", kind=b"g") * 10_000
    yield case("a million entries", "a.tgz", gzip.compress(entries) * 101, "", fails=MANY)
    some = f.raw_zip([f.ZipEntry(b"srv/many")])
    central = some[some.index(b"PK\1\2") : some.index(b"PK\5\6")] * 1_000_001
    start = some.index(b"PK\1\2")
    end = f.raw_zip([], count=1)
    end = end[:12] + len(central).to_bytes(4, "little") + start.to_bytes(4, "little") + end[20:]
    lying = some[:start] + central + end
    yield case("a million entries in a zip that says one", "a.zip", lying, "", fails=MANY)


def zips(places: Places) -> Iterator[Case]:
    """A zip archive whose two lists disagree is damaged."""
    place = places.next()
    name = f"{place}/x".encode()
    entries: dict[str, tuple[f.ZipEntry, str]] = {
        "local name": (f.ZipEntry(name, local_name=b"../etc/x"), DAMAGED),
        "checksum": (f.ZipEntry(name, crc=1), DAMAGED),
        "size too small": (f.ZipEntry(name, b"xy", size=1), DAMAGED),
        "size too large": (f.ZipEntry(name, size=9), DAMAGED),
        "encrypted": (f.ZipEntry(name, flags=1), "encrypted"),
        "unknown packing": (f.ZipEntry(name, method=99), "cannot be read here"),
        "bad packing": (f.ZipEntry(name, b"xxxxxxxxxxx", method=8), DAMAGED),
        "offset outside": (f.ZipEntry(name, offset=0xFFFFFF), DAMAGED),
        "a long link": (f.ZipEntry(name, b"x" * 5000, mode=0o120777), "a link to nowhere"),
    }
    for title, (entry, fails) in entries.items():
        yield case(f"zip: {title}", "a.zip", f.raw_zip([entry]), place, fails=fails)
        yield case(f"jar: {title}", "a.jar", f.raw_zip([entry]), place, fails=fails)
    place = places.next()
    plain = f.ZipEntry(f"{place}/x".encode())
    yield case(
        "zip with a comment",
        "a.zip",
        f.raw_zip([plain], comment=b"c" * 100),
        place,
        has={"x": "file x"},
    )
    yield case(
        "zip that counts wrong", "a.zip", f.raw_zip([plain], count=7), place, has={"x": "file x"}
    )
    link = f.ZipEntry(f"{place}/l".encode(), b"/etc/hostname", mode=0o120777)
    yield case(
        "zip with a link", "a.zip", f.raw_zip([link]), place, has={"l": "link /etc/hostname"}
    )
    folder = f.ZipEntry(f"{place}/d/".encode(), b"ignored")
    yield case("zip folder with content", "a.zip", f.raw_zip([folder]), place, has={"d": "folder"})
    yield case("no zip", "a.zip", b"x" * 1000, place, fails="no zip archive")
    yield case("empty zip", "a.zip", f.raw_zip([]), place, has={})


def others(places: Places) -> Iterator[Case]:
    """The rarer formats."""
    for ending, build in f.OTHERS.items():
        for said in (ending, ending.upper()):
            place = places.next()
            made = build({f"{place}/x": b"content", f"{place}/d/y": b"y"})
            has = {"x": "file content", "d/y": "file y"}
            yield case(f"{said}", f"a.{said}", made, place, has=has)
        for name in ("../{}/x", "a/../../{}/x"):
            place = places.next()
            made = build({name.format(place): b"x"})
            yield case(
                f"{name} in {ending}",
                f"a.{ending}",
                made,
                place,
                fails="unpack a",
                has={"x": "nothing"},
            )
        yield case(f"no {ending}", f"a.{ending}", b"x" * 1000, "", fails="unpack a")
    for title, content, fails in (
        ("a folder in a name", f.ar_header(b"a/x", b"1") + b"x\n", "no plain file name"),
        ("..", f.ar_header(b"../", b"1") + b"x\n", "no plain file name"),
        (".", f.ar_header(b"./", b"1") + b"x\n", "no plain file name"),
        ("no name", f.ar_header(b"", b"1") + b"x\n", "no plain file name"),
        ("a negative size", f.ar_header(b"x/", b"-5"), DAMAGED),
        ("a size that is none", f.ar_header(b"x/", b"five"), DAMAGED),
        ("a size beyond the end", f.ar_header(b"srv-ar/", b"500") + b"x", SHORT),
        ("a name beyond the table", f.ar_header(b"/99", b"1") + b"x\n", "no plain file name"),
        ("a long name with ..", f.ar_header(b"#1/5", b"6") + b"../ab" + b"x", "no plain file name"),
        ("no end of the header", f.ar_header(b"x/", b"1")[:-2] + b"xx", DAMAGED),
        ("half a header", f.ar_header(b"x/", b"1")[:20], DAMAGED),
    ):
        for ending in ("a", "deb"):
            yield case(f"ar with {title}", f"x.{ending}", b"!<arch>\n" + content, "", fails=fails)
    yield case("thin ar", "x.a", b"!<thin>\n", "", fails="no ar archive")
    for name in (
        "x",
        "x.txt",
        "x.tar.zst",
        "x.GZ",
        "x.tar.GZ",
        "x.cpio",
        "x.gz.part",
        "tar",
        "gz",
        "x. tar.Z",
    ):
        yield case(f"{name!r} is no archive", name, b"anything", "", has={f"/{name}": "nothing"})
    tar = f.tar([f.file("srv/wrong")])
    for name, content in (
        ("a.tar", gzip.compress(tar)),
        ("a.tar.gz", tar),
        ("a.tar.gz", bz2.compress(tar)),
        ("a.tar.bz2", gzip.compress(tar)),
        ("a.tar.xz", gzip.compress(tar)),
        ("a.tar.lzma", lzma.compress(tar)),
        ("a.zip", tar),
        ("a.deb", tar),
        (".gz", gzip.compress(b"x")),
    ):
        yield case(
            f"{name} that is another",
            name,
            content,
            "",
            fails="unpack",
            has={"/srv/wrong": "nothing"},
        )


FAMILIES: Final = (
    climbing,
    absolute,
    through_links,
    hardlinks,
    special_files,
    modes,
    deep,
    twice,
    names,
    sparse,
    sizes,
    headers,
    cut,
    trailing,
    bombs,
    zips,
    others,
)


def alone() -> list[Case]:
    """Return archives that each need a sandbox of their own: they change its system."""
    merged = [f.folder("lib"), f.file("lib/x"), f.folder("bin"), f.file("bin/x")]
    root = f.header(b"./", kind=b"5", mode=0)
    return [
        Case(
            "real folders over the system's links",
            "",
            "a.tar",
            f.tar([root, f.folder("./tmp", 0o700), *merged]),
            None,
            {
                "/lib": "link usr/lib",
                "/usr/lib/x": "file x",
                "/bin": "link usr/bin",
                "/usr/bin/x": "file x",
                "/tmp": "mode 1777",
                "/": "mode 755",
            },
        ),
        Case(
            "system files replaced",
            "",
            "a.tar",
            f.tar(
                [
                    f.symlink("etc/passwd", "/opt/cases/cases.json"),
                    f.symlink("etc/shadow", "/proc/1/environ"),
                    f.file("usr/bin/gzip", b"#!/bin/sh\n", mode=0o6755),
                    f.symlink("opt/plasmid/failure", "/opt/cases/failure"),
                    f.symlink("home/dnanexus", "/opt/cases"),
                ]
            ),
            "tar ended with code 2",
            {"/etc/passwd": "link /opt/cases/cases.json", "/usr/bin/gzip": "mode 6755"},
        ),
    ]
