"""What a job runs to speak: numbered lines, each with a checksum, and other things to swallow.

The programs are Python for the interpreter of any base image. What they say beside the lines
themselves begins with a word in capitals.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from typing import Final

# Every writer is a process; its lines are written whole, so they mix between lines only.
LINES: Final = """
import os, sys, time, zlib
count, writers, rate, width = map(int, sys.argv[1:5])
STEP = 1 if writers > 1 else 200

def line(stream, writer, n):
    text = "%s %d %d " % (stream, writer, n)
    text += "x" * (width - len(text) - 9)
    return "%s%08x\\n" % (text, zlib.crc32(text.encode()))

def write(fd, text):
    data = text.encode()
    while data:
        data = data[os.write(fd, data):]

def speak(writer):
    begun = time.monotonic()
    for first in range(0, count, STEP):
        numbers = range(first, min(first + STEP, count))
        write(1, "".join([line("out", writer, n) for n in numbers]))
        write(2, "".join([line("err", writer, n // 10) for n in numbers if n % 10 == 0]))
        if rate:
            time.sleep(max(0, begun + numbers[-1] / rate - time.monotonic()))

begun = time.monotonic()
children = []
for writer in range(writers):
    child = os.fork() if writers > 1 else 0
    if child:
        children.append(child)
        continue
    speak(writer)
    if writers > 1:
        os._exit(0)
codes = [os.waitpid(child, 0)[1] for child in children]
print("\\nENDED %d %.3f" % (max(codes, default=0), time.monotonic() - begun), flush=True)
"""
LONG_LINE: Final = """
import hashlib, os, sys
size, digest = int(sys.argv[1]), hashlib.md5()
block = b"".join(b"%07d " % n for n in range(1 << 13))
while size:
    piece = block[:size]
    size -= len(piece)
    digest.update(piece)
    while piece:
        piece = piece[os.write(1, piece):]
print("\\nENDED %s" % digest.hexdigest(), flush=True)
"""


def any_bytes(count: int) -> Iterator[bytes]:
    """Give lines of any bytes but the end of a line: the same ones inside and outside."""
    chance = random.Random(5)
    for n in range(count):
        yield b"%d " % n + chance.randbytes(chance.randrange(1, 200)).replace(b"\n", b"\0")


SAYS_BYTES: Final = f"""
from __future__ import annotations
import os, random, sys
{inspect.getsource(any_bytes)}
for one in any_bytes(int(sys.argv[1])):
    os.write(1, one + bytes([10]))
print("ENDED", flush=True)
"""


def code(program: str, *arguments: int, before: str = "", after: str = "") -> str:
    """Return the code of a bash applet that runs a program; `before` and `after` are shell."""
    words = " ".join(str(each) for each in arguments)
    return f"main() {{\n{before}\npython3 - {words} <<'PROGRAM'\n{program}\nPROGRAM\n{after}\n}}"


def numbered(count: int, *, writers: int = 1, rate: int = 0, width: int = 60) -> str:
    """Return the code of a job whose writers say `count` lines each, and a tenth on stderr.

    `rate` is in lines a second of one writer, 0 for as fast as it gets rid of them.
    """
    return code(LINES, count, writers, rate, width)
