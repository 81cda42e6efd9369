"""Small inputs of real formats, made when a test needs them: no file of this kind is kept here."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from typing import Final

READS: Final = 240
SAMPLE: Final = "sample1"
_REFERENCES: Final = (("chr1", 1000), ("chr2", 500))
_READ_BASES: Final = 50
_BLOCK_BYTES_MAX: Final = 60_000


def bam(reads: int = READS, *, seed: int = 7) -> bytes:
    """Return a BAM file with a read group and that many mapped reads, two thirds on chr1."""
    chance = random.Random(seed)
    header = "@HD\tVN:1.6\tSO:coordinate\n"
    header += "".join(f"@SQ\tSN:{name}\tLN:{length}\n" for name, length in _REFERENCES)
    header += f"@RG\tID:rg1\tSM:{SAMPLE}\tLB:lib1\tPU:unit.1\tPL:ILLUMINA\n"
    content = b"BAM\1" + struct.pack("<i", len(header)) + header.encode()
    content += struct.pack("<i", len(_REFERENCES))
    for name, length in _REFERENCES:
        content += struct.pack("<i", len(name) + 1) + name.encode() + b"\0"
        content += struct.pack("<i", length)
    firsts = reads * 2 // 3
    for reference, count in enumerate((firsts, reads - firsts)):
        room = _REFERENCES[reference][1] - _READ_BASES
        for number in range(count):
            place = (reference, number * room // count)
            content += _alignment(f"read{reference}_{number}", place, chance)
    return _bgzip(content)


def _alignment(name: str, place: tuple[int, int], chance: random.Random) -> bytes:
    length = _READ_BASES
    sequence = [chance.choice((1, 2, 4, 8)) for _ in range(length)]
    packed = bytes(
        first << 4 | second for first, second in zip(sequence[::2], sequence[1::2], strict=True)
    )
    body = struct.pack("<iiBBHHHiiii", *place, len(name) + 1, 60, 4681, 1, 0, length, -1, -1, 0)
    body += name.encode() + b"\0" + struct.pack("<I", length << 4) + packed + b"\x1e" * length
    body += b"RGZrg1\0"
    return struct.pack("<i", len(body)) + body


def _bgzip(content: bytes) -> bytes:
    """Return the content in blocks as BGZF wants them, with its empty last one."""
    pieces = [
        content[start : start + _BLOCK_BYTES_MAX]
        for start in range(0, len(content), _BLOCK_BYTES_MAX)
    ]
    return b"".join(_block(piece) for piece in [*pieces, b""])


def _block(piece: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(piece) + packer.flush()
    size = len(packed) + 25
    head = b"\x1f\x8b\x08\x04" + b"\0" * 4 + b"\0\xff\x06\0BC\x02\0" + struct.pack("<H", size)
    return head + packed + struct.pack("<II", zlib.crc32(piece), len(piece))


def fastq(reads: int, *, seed: int = 3) -> bytes:
    """Return gzipped reads."""
    chance = random.Random(seed)
    text = "".join(
        f"@r{n}\n{''.join(chance.choices('ACGT', k=40))}\n+\n{'I' * 40}\n" for n in range(reads)
    )
    return gzip.compress(text.encode(), mtime=0)
