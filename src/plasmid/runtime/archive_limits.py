"""What dx-unpack lets an archive do; runs on Python 3.4 and later.

An archive may be anything, so what it unpacks to is limited: to 100 GB or three times its own size,
whichever is more; to a million entries; and from 100 MB on to a thousand times its own size. No
entry may climb with `..`. Devices are left out: no job may make them.
"""

BYTES_MAX = 100 * 10**9
TIMES_MAX = 3
ENTRIES_MAX = 10**6
RATIO_MAX = 1000
RATIO_COUNTS_FROM = 100 * 10**6
EXTENDED_BYTES_MAX = 1 << 20
BLOCK = 512
SHOWN_MAX = 120

# Of extended headers, those which change what an entry is.
SIZES = (b"size", b"GNU.sparse.realsize", b"GNU.sparse.size")
NAMES = (b"path", b"linkpath", b"GNU.sparse.name")


class RefusedError(Exception):
    """The archive is not unpacked, or not to its end; the message says why."""


def shown(name):
    """Return an entry's name as a message can have it."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    text = "".join(c if c.isprintable() else "?" for c in text)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "'" + (text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "...") + "'"


def check_name(name):
    """Raise RefusedError for a name that climbs; bytes."""
    if b".." in name and b".." in name.split(b"/"):
        raise RefusedError(
            "its entry %s climbs out of the folder that it is unpacked into" % shown(name)
        )


class Meter:
    """What an archive has come to so far, against what it may come to."""

    def __init__(self, packed):
        self.packed = packed
        self.bytes_max = max(BYTES_MAX, TIMES_MAX * packed)
        self.read = 0
        self.bytes = 0
        self.entries = 0
        self.devices = 0

    def device(self):
        """Count an entry that is left out."""
        self.devices += 1

    def unpacked(self, count):
        """Count bytes that came out of the archive."""
        self.read += count
        self.hold(count)
        if self.read > RATIO_COUNTS_FROM and self.read > RATIO_MAX * self.packed:
            raise RefusedError("it unpacks to more than %d times its own size" % RATIO_MAX)

    def hold(self, count):
        """Count bytes that a file has, in the archive or not: a sparse file's holes."""
        self.bytes += count
        if self.bytes > self.bytes_max:
            raise RefusedError("it unpacks to more than %d GB" % (self.bytes_max // 10**9))

    def may_hold(self, count):
        """Refuse an entry that says it has too many bytes."""
        if count > self.bytes_max:
            self.hold(count)

    def entry(self):
        """Count an entry."""
        self.entries += 1
        if self.entries > ENTRIES_MAX:
            raise RefusedError("it has more than %d entries" % ENTRIES_MAX)


def number(field):
    """Read a number of a tar header: octal digits, or binary with the first bit set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            raise RefusedError("it is damaged: an entry has a negative size")
        return value
    return decimal(field.split(b"\0", 1)[0].strip() or b"0", 8)


def decimal(text, base=10):
    """Read digits that come from an archive."""
    if not text.isdigit():
        raise RefusedError("it is damaged: %s is no size of an entry" % shown(text))
    try:
        return int(text[:40], base)
    except ValueError:
        raise RefusedError("it is damaged: %s is no size of an entry" % shown(text)) from None


def string(field):
    """Return the text of a header's field."""
    return field.split(b"\0", 1)[0]


class TarFilter:
    """Reads a tar stream as it passes: counts its entries, refuses bad ones, drops devices."""

    def __init__(self, meter):
        self.meter = meter
        self.held = bytearray()
        self.wanted = BLOCK
        self.take = self.header
        self.left = 0
        self.dropping = False
        self.prefix = bytearray()
        self.out = bytearray()
        self.told = {}
        self.for_all = {}
        self.kind = b""
        self.ended = False

    def feed(self, chunk):
        """Return what of a chunk, and of what was held back before, goes on."""
        self.out = bytearray()
        view = memoryview(chunk)
        at, size = 0, len(chunk)
        while at < size:
            if self.ended:
                self.out += view[at:]
                break
            if self.left:
                step = min(self.left, size - at)
                if not self.dropping:
                    self.out += view[at : at + step]
                self.left -= step
            else:
                step = min(self.wanted - len(self.held), size - at)
                self.held += view[at : at + step]
                if len(self.held) == self.wanted:
                    block, self.held = bytes(self.held), bytearray()
                    self.take(block)
            at += step
        return self.out

    def finish(self):
        """Raise RefusedError if the stream has ended too early."""
        if self.left or self.held or self.prefix:
            raise RefusedError("it is cut short")

    def header(self, block):
        """Take the header of an entry."""
        if not block.strip(b"\0"):
            self.ended = True
            self.out += self.prefix + block
            self.prefix = bytearray()
            return
        check_sum(block, first=not self.meter.entries)
        self.meter.entry()
        kind = block[156:157]
        size = number(block[124:136])
        if kind in b"xgXLK":
            if size > EXTENDED_BYTES_MAX:
                raise RefusedError("it has an extended header of %d bytes" % size)
            self.prefix += block
            self.kind = kind
            self.wanted = -(-size // BLOCK) * BLOCK
            self.size = size
            if size:
                self.take = self.extended
            else:
                self.wanted = BLOCK
            return
        self.entry(block, kind, size)

    def extended(self, block):
        """Take the body of a header that is about the next entry, or about all."""
        self.prefix += block
        self.take, self.wanted = self.header, BLOCK
        body = block[: self.size]
        if self.kind == b"L":
            self.told[b"path"] = string(body)
        elif self.kind == b"K":
            self.told[b"linkpath"] = string(body)
        else:
            found = records(body)
            (self.for_all if self.kind == b"g" else self.told).update(found)

    def entry(self, block, kind, size):
        """Take an entry whose headers are complete."""
        told = dict(self.for_all)
        told.update(self.told)
        self.told = {}
        # Links, devices, folders and FIFOs have no content, whatever their size says.
        size = 0 if kind in b"123456" else decimal(told[b"size"]) if b"size" in told else size
        name = told.get(b"path")
        if name is None:
            prefix = string(block[345:500])
            name = prefix + b"/" * bool(prefix) + string(block[:100])
        check_name(name)
        check_name(told.get(b"GNU.sparse.name", b""))
        if kind == b"1":
            check_name(told.get(b"linkpath", string(block[157:257])))
        real = [decimal(told[key]) for key in SIZES[1:] if key in told]
        if kind == b"S":
            real.append(number(block[483:495]))
        self.meter.may_hold(size)
        self.meter.hold(max([0] + [count - size for count in real]))
        self.left = -(-size // BLOCK) * BLOCK
        self.dropping = kind in b"34"
        if self.dropping:
            self.meter.device()
        else:
            self.out += self.prefix + block
        self.prefix = bytearray()
        if kind == b"S" and block[482]:
            self.take, self.wanted = self.sparse, BLOCK
            self.left, self.after = 0, self.left

    def sparse(self, block):
        """Take one more table of an old sparse file's pieces."""
        self.out += block
        if not block[504]:
            self.take, self.left = self.header, self.after


def check_sum(block, first):
    """Raise RefusedError if a block is no tar header."""
    blank = block[:148] + b" " * 8 + block[156:]
    text = string(block[148:156]).strip()
    total, said = sum(blank), decimal(text, 8) if text.isdigit() else -1
    # Some programs of old have added signed bytes.
    if said != total and said != total - 256 * sum(byte > 127 for byte in blank):
        raise RefusedError("it is no tar archive" if first else "it is damaged")


def records(body):
    """Return the keys and values of a PAX header that matter here."""
    found = {}
    while body:
        length, space, _rest = body.partition(b" ")
        if not space or not length.isdigit() or not len(length) < int(length[:9]) <= len(body):
            if not body.strip(b"\0"):
                break
            raise RefusedError("it is damaged: an extended header cannot be read")
        key, equals, value = body[len(length) + 1 : int(length)].partition(b"=")
        if not equals:
            raise RefusedError("it is damaged: an extended header cannot be read")
        if key in SIZES or key in NAMES:
            found[key] = value.rstrip(b"\n")
        body = body[int(length) :]
    return found
