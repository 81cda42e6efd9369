"""Archives written byte by byte, so that they can be wrong in every way."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)


def padded(content: bytes) -> bytes:
    """Fill up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def octal(number: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, number)


def binary(number: int, width: int = 12) -> bytes:
    """A number of any size, also a negative one, as GNU tar writes it."""
    if number < 0:
        return number.to_bytes(width, "big", signed=True)
    return b"\x80" + number.to_bytes(width - 1, "big")


def header(
    name: bytes,
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    mode: int = 0o644,
    link: bytes = b"",
    prefix: bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\00000",
    tail: bytes = b"",
    wrong_by: int = 0,
) -> bytes:
    """Return the block before an entry; `tail` replaces what follows the prefix's place."""
    block = bytearray(BLOCK)

    def put(at: int, value: bytes) -> None:
        block[at : at + len(value)] = value

    put(0, name[:100])
    put(100, octal(mode, 8) + octal(0, 8) + octal(0, 8))
    put(124, octal(size, 12) if isinstance(size, int) else size)
    put(136, octal(1_600_000_000, 12))
    put(148, b" " * 8 + kind + link[:100].ljust(100, b"\0") + magic)
    put(329, octal(device[0], 8) + octal(device[1], 8))
    put(345, tail or prefix[:155])
    put(148, b"%06o\0 " % (sum(block) + wrong_by))
    return bytes(block)


def file(name: bytes | str, content: bytes = b"x", **fields: object) -> bytes:
    fields.setdefault("size", len(content))
    return header(as_bytes(name), **fields) + padded(content)  # type: ignore[arg-type]


def folder(name: bytes | str, mode: int = 0o755) -> bytes:
    return header(as_bytes(name) + b"/", kind=b"5", mode=mode)


def symlink(name: bytes | str, target: bytes | str) -> bytes:
    return header(as_bytes(name), kind=b"2", link=as_bytes(target), mode=0o777)


def hardlink(name: bytes | str, target: bytes | str) -> bytes:
    return header(as_bytes(name), kind=b"1", link=as_bytes(target))


def device(name: str, kind: bytes, major: int, minor: int) -> bytes:
    return header(as_bytes(name), kind=kind, device=(major, minor), mode=0o666)


def fifo(name: str) -> bytes:
    return header(as_bytes(name), kind=b"6")


def record(key: bytes, value: bytes) -> bytes:
    """One line of a PAX header, which begins with its own length."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def pax(records: Mapping[str, bytes | str], *, for_all: bool = False) -> bytes:
    """An extended header: about the next entry, or about all that follow."""
    body = b"".join(record(key.encode(), as_bytes(value)) for key, value in records.items())
    return pax_body(body, for_all=for_all)


def pax_body(body: bytes, *, for_all: bool = False) -> bytes:
    return header(b"PaxHeaders/x", kind=b"g" if for_all else b"x", size=len(body)) + padded(body)


def long_name(name: bytes | str, kind: bytes = b"L") -> bytes:
    """GNU tar's way to say a long name (L) or link (K) of the next entry."""
    body = as_bytes(name) + b"\0"
    return header(b"././@LongLink", kind=kind, size=len(body)) + padded(body)


def tar(entries: Iterable[bytes]) -> bytes:
    return b"".join(entries) + END


def as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def zipped(files: Mapping[str, bytes], *, kind: int = 0o100644) -> bytes:
    """A zip archive of files; `kind` is their type and mode."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.external_attr = kind << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


class ZipEntry:
    """An entry of a zip archive whose two headers may say different things."""

    def __init__(self, name: bytes, content: bytes = b"x", **said: int | bytes) -> None:
        self.name = name
        self.content = content
        self.said = said

    def _said(self, what: str, true: int) -> int:
        value = self.said.get(what, true)
        assert isinstance(value, int)
        return value

    def _common(self, name: bytes) -> bytes:
        return struct.pack(
            "<HHHHHLLLHH",
            20,
            self._said("flags", 0),
            self._said("method", 0),
            0,
            0x5021,
            self._said("crc", zlib.crc32(self.content)),
            self._said("packed", len(self.content)),
            self._said("size", len(self.content)),
            len(name),
            0,
        )

    def local(self) -> bytes:
        name = self.said.get("local_name", self.name)
        assert isinstance(name, bytes)
        return b"PK\3\4" + self._common(name) + name + self.content

    def central(self, offset: int) -> bytes:
        mode = self._said("mode", 0o100644) << 16
        rest = struct.pack("<HHHLL", 0, 0, 0, mode, self._said("offset", offset))
        return b"PK\1\2" + struct.pack("<H", 0x0314) + self._common(self.name) + rest + self.name


def raw_zip(
    entries: Iterable[ZipEntry], *, count: int | None = None, comment: bytes = b""
) -> bytes:
    """A zip archive from entries as they are; `count` is what it says their number is."""
    local = central = b""
    number = 0
    for entry in entries:
        central += entry.central(len(local))
        local += entry.local()
        number += 1
    said = number if count is None else count
    end = struct.pack("<HHHHLLH", 0, 0, said, said, len(central), len(local), len(comment))
    return local + central + b"PK\5\6" + end + comment


def ar_header(name: bytes, size: bytes) -> bytes:
    return (
        name.ljust(16)
        + b"0".ljust(12)
        + b"0".ljust(6) * 2
        + b"100644".ljust(8)
        + (size.ljust(10) + b"`\n")
    )


def ar(files: Mapping[str, bytes], kind: str = "gnu") -> bytes:
    """An ar archive; long names as GNU's or BSD's ar writes them."""
    out = b"!<arch>\n"
    table = b"".join(name.encode() + b"/\n" for name in files)
    if kind == "gnu":
        out += ar_header(b"//", b"%d" % len(table)) + table + b"\n" * (len(table) % 2)
    for name, content in files.items():
        body = content if kind == "gnu" else name.encode() + content
        place = table.index(name.encode() + b"/\n")
        told = b"/%d" % place if kind == "gnu" else b"#1/%d" % len(name.encode())
        out += ar_header(told, b"%d" % len(body)) + body + b"\n" * (len(body) % 2)
    return out


def _number(value: int) -> bytes:
    """A number as 7z writes it."""
    extra = 0
    while value >= 1 << (7 * (extra + 1)) and extra < 8:
        extra += 1
    first = (0xFF00 >> extra) & 0xFF | (value >> (8 * extra) if extra < 7 else 0)
    return bytes([first]) + (value & ((1 << (8 * extra)) - 1)).to_bytes(extra, "little")


def seven_zip(files: Mapping[str, bytes]) -> bytes:
    """A 7z archive that packs nothing."""
    packed = b"".join(files.values())
    sizes = [len(content) for content in files.values()]
    streams = b"\6" + _number(0) + _number(1) + b"\x09" + _number(len(packed)) + b"\0"
    streams += b"\7\x0b" + _number(1) + b"\0" + b"\1\1\0" + b"\x0c" + _number(len(packed)) + b"\0"
    streams += b"\x08\x0d" + _number(len(files))
    if len(files) > 1:
        streams += b"\x09" + b"".join(_number(size) for size in sizes[:-1])
    crcs = b"".join(struct.pack("<L", zlib.crc32(content)) for content in files.values())
    streams += b"\x0a\1" + crcs + b"\0"
    names = b"\0" + b"".join(name.encode("utf-16-le") + b"\0\0" for name in files)
    about = b"\5" + _number(len(files)) + b"\x11" + _number(len(names)) + names + b"\0"
    head = b"\1\4" + streams + b"\0" + about + b"\0"
    start = struct.pack("<QQL", len(packed), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<L", zlib.crc32(start)) + start + packed + head


def _crc16(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def lha(files: Mapping[str, bytes]) -> bytes:
    """An lha archive that packs nothing."""
    out = b""
    for name, content in files.items():
        told = name.encode()
        rest = b"-lh0-" + struct.pack("<LLLBBB", len(content), len(content), 0, 0x20, 0, len(told))
        rest += told + struct.pack("<H", _crc16(content))
        out += bytes([len(rest), sum(rest) & 0xFF]) + rest + content
    return out + b"\0"


def rar(files: Mapping[str, bytes]) -> bytes:
    """A rar archive that packs nothing."""

    def block(kind: int, flags: int, rest: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, len(rest) + 7) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    out = b"Rar!\x1a\7\0" + block(0x73, 0, bytes(6))
    for name, content in files.items():
        told = name.encode()
        size, crc = len(content), zlib.crc32(content)
        rest = struct.pack("<LLBLLBBHL", size, size, 3, crc, 0, 20, 0x30, len(told), 0o100644)
        out += block(0x74, 0x8000, rest + told) + content
    return out + block(0x7B, 0x4000, b"")


OTHERS: Final[dict[str, Callable[[Mapping[str, bytes]], bytes]]] = {
    "7z": seven_zip,
    "lha": lha,
    "rar": rar,
}
