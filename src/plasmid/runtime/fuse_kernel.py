"""A read-only file system for the kernel's FUSE device, without a library.

Every FUSE library is a C library, and one that fits a base image of 2016 does not fit one of 2024;
the device's own protocol (linux/fuse.h, fuse(4)) is the same on all of them, and a file system that
only reads needs little of it. Runs on Python 3.4 and later.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import threading

ROOT = 1
READ_BYTES_MAX = 1 << 20
# Nothing in it changes, so the kernel may keep what it was told and what it has read.
VALID_SECONDS = 3600

_MAJOR, _MINOR = 7, 31
_REQUEST_BYTES_MAX = 1 << 17
_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")
_INIT_IN = struct.Struct("=IIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHH8I")
_ATTR = struct.Struct("=6Q10I")
_ENTRY = struct.Struct("=4Q2I")
_VALID = struct.Struct("=QII")
_OPEN = struct.Struct("=QII")
_READ = struct.Struct("=QQIIQII")
_DIRENT = struct.Struct("=QQII")
_STATFS = struct.Struct("=5Q4I24x")

_LOOKUP, _FORGET, _GETATTR, _OPEN_FILE, _READ_FILE, _STATFS_GET = 1, 2, 3, 14, 15, 17
_RELEASE, _FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = 18, 25, 26, 27, 28, 29
_ACCESS, _INTERRUPT, _DESTROY, _BATCH_FORGET = 34, 36, 38, 42
_UNANSWERED = (_FORGET, _INTERRUPT, _BATCH_FORGET)

_ASYNC_READ, _PARALLEL_DIROPS, _MAX_PAGES = 1, 1 << 18, 1 << 22
_KEEP_CACHE = 2
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_libc = ctypes.CDLL(None, use_errno=True)


class Node:
    """A file (with its size and the reader's own `source`) or a folder (with its entries)."""

    def __init__(self, parent=None, size=None, source=None, seconds=0):
        self.parent = parent
        self.size = size
        self.source = source
        self.seconds = seconds
        self.entries = {} if size is None else None
        self.number = 0

    @property
    def is_folder(self):
        """Whether it is a folder."""
        return self.entries is not None


class FileSystem:
    """Serves a tree of nodes; `read(source, offset, size)` gives a file's bytes, or an OSError."""

    def __init__(self, root, read, uid=0, gid=0):
        self.read = read
        self.owner = (uid, gid)
        self.nodes = {}
        waiting = [root]
        while waiting:
            node = waiting.pop()
            node.number = ROOT + len(self.nodes)
            self.nodes[node.number] = node
            if node.is_folder:
                waiting.extend(node.entries[name] for name in sorted(node.entries, reverse=True))
        self.device = -1

    def mount(self, target):
        """Mount it at a folder; raises OSError. What reads there waits until `serve` is called."""
        self.device = os.open("/dev/fuse", os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        options = "fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,max_read=%d" % (
            self.device,
            os.getuid(),
            os.getgid(),
            READ_BYTES_MAX,
        )
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        words = (b"dxfuse", os.fsencode(target), b"fuse.dxfuse", flags, options.encode())
        if _libc.mount(*words):
            number = ctypes.get_errno()
            os.close(self.device)
            raise OSError(number, os.strerror(number), target)

    def serve(self, threads):
        """Answer the kernel until it is unmounted, by so many threads at once."""
        others = [threading.Thread(target=self._serve) for _ in range(threads - 1)]
        for thread in others:
            thread.daemon = True
            thread.start()
        self._serve()

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, _REQUEST_BYTES_MAX)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue  # ENOENT: the call was interrupted before we took it
                return
            if request:
                self.answer(request)

    def answer(self, request):
        """Answer one request of the kernel."""
        _, opcode, unique, number = _IN.unpack_from(request)[:4]
        if opcode in _UNANSWERED:
            return
        try:
            code, content = 0, self._content(opcode, number, request[_IN.size :])
        except OSError as error:
            code, content = -(error.errno or errno.EIO), b""
        except (struct.error, ValueError):
            code, content = -errno.EIO, b""
        with contextlib.suppress(OSError):  # who asked may have gone
            os.write(self.device, _OUT.pack(_OUT.size + len(content), code, unique) + content)

    def _content(self, opcode, number, body):
        """Return the answer's content; raises OSError with the answer's error."""
        if opcode == _INIT:
            return _init(body)
        if opcode in (_DESTROY, _RELEASE, _RELEASEDIR, _FLUSH, _ACCESS):
            return b""
        if number not in self.nodes:
            raise OSError(errno.ENOENT, "no such node")
        node = self.nodes[number]
        if opcode in (_READ_FILE, _READDIR):
            _, offset, size = _READ.unpack_from(body)[:3]
            take = self._read if opcode == _READ_FILE else _listing
            return take(node, offset, size)
        return self._about(opcode, node, body)

    def _about(self, opcode, node, body):
        if opcode == _LOOKUP:
            content = self._lookup(node, body)
        elif opcode == _GETATTR:
            content = _VALID.pack(VALID_SECONDS, 0, 0) + self._attributes(node)
        elif opcode in (_OPEN_FILE, _OPENDIR):
            content = _OPEN.pack(node.number, _KEEP_CACHE, 0)
        elif opcode == _STATFS_GET:
            content = _STATFS.pack(0, 0, 0, len(self.nodes), 0, 4096, 255, 4096, 0)
        else:
            raise OSError(errno.ENOSYS, "not offered")
        return content

    def _lookup(self, node, body):
        name = os.fsdecode(body.split(b"\0", 1)[0])
        if not node.is_folder or name not in node.entries:
            raise OSError(errno.ENOENT, "no such entry")
        found = node.entries[name]
        head = _ENTRY.pack(found.number, 0, VALID_SECONDS, VALID_SECONDS, 0, 0)
        return head + self._attributes(found)

    def _read(self, node, offset, size):
        """Return what was asked for, short only at the end of the file."""
        size = max(0, min(size, node.size - offset))
        if size == 0:
            return b""
        content = self.read(node.source, offset, size)
        if len(content) != size:
            raise OSError(errno.EIO, "the file is shorter than was said")
        return content

    def _attributes(self, node):
        mode = stat.S_IFDIR | 0o555 if node.is_folder else stat.S_IFREG | 0o444
        size = 4096 if node.is_folder else node.size
        times = (node.seconds,) * 3
        links = 2 if node.is_folder else 1
        rest = (0, 0, 0, mode, links, self.owner[0], self.owner[1], 0, 4096, 0)
        return _ATTR.pack(node.number, size, (size + 511) // 512, *(times + rest))


def _init(body):
    """Return what we can, of what the kernel offers."""
    _, minor, ahead, offered = _INIT_IN.unpack_from(body)
    flags = offered & (_ASYNC_READ | _PARALLEL_DIROPS | _MAX_PAGES)
    pages = READ_BYTES_MAX // 4096
    ahead = max(ahead, READ_BYTES_MAX)
    numbers = (_MAJOR, min(minor, _MINOR), ahead, flags, 16, 12, 4096, 1, pages, 0)
    return _INIT_OUT.pack(*(numbers + (0,) * 8))


def _listing(node, offset, size):
    """Return the entries of a folder from the given one on, as many as there is room for."""
    if not node.is_folder:
        raise OSError(errno.ENOTDIR, "no folder")
    parent = node.parent or node
    entries = [(".", node), ("..", parent)]
    entries += [(name, node.entries[name]) for name in sorted(node.entries)]
    listing = b""
    for place, (name, entry) in enumerate(entries[offset:], offset + 1):
        raw = os.fsencode(name)
        kind = 4 if entry.is_folder else 8
        record = _DIRENT.pack(entry.number, place, len(raw), kind) + raw
        record += b"\0" * (-len(record) % 8)
        if len(listing) + len(record) > size:
            break
        listing += record
    return listing
