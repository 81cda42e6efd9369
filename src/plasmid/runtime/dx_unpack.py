#!/usr/bin/python3 -IBS
"""Unpacks an archive into the current folder and removes it: dx-unpack [--from FILE] NAME.

Its name says the format (contract I.7). With --from the bytes are those of FILE, which stays; with
--failure the reason of a failure is written to a file, one line. The archive is removed in every
case.

Limits are those of archive_limits.py. Owners, file capabilities, ACLs and other extended attributes
are not restored. Runs on Python 3.4 and later.
"""

import os
import shutil
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib

sys.path.insert(0, "/opt/plasmid")

from archive_limits import (
    ENTRIES_MAX,
    EXTENDED_BYTES_MAX,
    Meter,
    RefusedError,
    TarFilter,
    check_name,
    decimal,
    shown,
)

USAGE = "usage: dx-unpack [--from FILE] [--failure FILE] NAME"
PATH_BYTES_MAX = 4096
DIRECTORY_BYTES_MAX = 1 << 28
CHUNK = 1 << 20

GZIP = ["gzip", "-dc"]
BZIP2 = ["bzip2", "-dc"]
XZ = ["xz", "-dc"]
LZMA = ["xz", "--format=lzma", "-dc"]
# gzip ends with 2 when something follows the packed data; what it packed is whole all the same.
GZIP_WARNING = 2


def need(program):
    """Raise RefusedError if a program is not there."""
    if shutil.which(program) is None:
        raise RefusedError("%s is not installed here" % program)


class Unpacked:
    """The bytes of a packed file, through the program that knows the packing; a context manager."""

    def __init__(self, source, command, meter):
        self.path = source
        self.command = command
        self.meter = meter
        self.source = self.process = None

    def __enter__(self):
        if self.command:
            need(self.command[0])
        self.source = open(self.path, "rb")
        if self.command:
            self.process = subprocess.Popen(
                self.command, stdin=self.source, stdout=subprocess.PIPE, bufsize=0
            )
        return self

    def __iter__(self):
        stream = self.process.stdout if self.process else self.source
        while True:
            chunk = stream.read(CHUNK)
            if not chunk:
                break
            self.meter.unpacked(len(chunk))
            yield chunk
        if self.process:
            code = self.process.wait()
            if code and (self.command != GZIP or code != GZIP_WARNING):
                raise RefusedError("it is damaged, or no file of that format: %s" % self.command[0])

    def __exit__(self, *_trouble):
        self.source.close()
        if self.process:
            self.process.stdout.close()
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()


def untar(source, command, meter):
    """Unpack a tar stream with tar.

    Folders that exist keep their modes, and links to folders stay links: an archive with a lib/ or
    tmp/ of its own must not take the system's away.
    """
    need("tar")
    tar = ["tar", "-x", "-o", "--no-overwrite-dir", "--keep-directory-symlink", "-f", "-"]
    if os.getcwd() == "/":
        # At the root absolute names mean the same, and links may lead anywhere below it.
        tar.append("-P")
    passing = TarFilter(meter)
    process = subprocess.Popen(tar, stdin=subprocess.PIPE, bufsize=0)
    try:
        with Unpacked(source, command, meter) as chunks:
            for chunk in chunks:
                feed(process, passing.feed(chunk))
        passing.finish()
        feed(process, None)
        check_end(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    tell_devices(meter)


def tell_devices(meter):
    """Say what was left out."""
    if meter.devices:
        print("Left out %d device files: no job may make them" % meter.devices)


def feed(process, data):
    """Write to a program that may have read enough by now; None: there is no more."""
    if process.stdin.closed:
        return
    try:
        view = memoryview(data or b"")
        while view:
            view = view[process.stdin.write(view) :]
    except BrokenPipeError:
        process.stdin.close()
        check_end(process)
    if data is None:
        process.stdin.close()


def check_end(tar):
    """Wait for tar; raise RefusedError if it has failed."""
    if tar.wait():
        raise RefusedError("tar ended with code %d: the lines above say why" % tar.returncode)


def inflate(source, command, target, meter):
    """Unpack a single file."""
    if not target:
        raise RefusedError("its name has nothing before the extension")
    with Unpacked(source, command, meter) as chunks, open(target, "wb") as out:
        out.writelines(chunks)


def unzip(source, meter):
    """Unpack a zip archive; its links are made last, so that nothing goes through them."""
    try:
        check_directory(source)
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            for info in entries:
                check_zipped(info, meter)
            if sum(info.compress_size for info in entries) > meter.packed:
                raise RefusedError("its entries overlap each other, as a bomb's do")
            links = [info for info in entries if stat.S_ISLNK(info.external_attr >> 16)]
            for info in entries:
                if not stat.S_ISLNK(info.external_attr >> 16):
                    unzip_one(archive, info, meter)
            for info in links:
                make_link(archive, info)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        raise RefusedError("it is damaged: %s" % error) from error
    except (NotImplementedError, RuntimeError) as error:
        raise RefusedError("it cannot be read here: %s" % error) from error
    tell_devices(meter)


def check_directory(source):
    """Raise RefusedError if a zip archive's list of entries is too long to be read at all."""
    with open(source, "rb") as archive:
        size = archive.seek(0, os.SEEK_END)
        archive.seek(max(0, size - (1 << 16) - 22))
        tail = archive.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) < found + 22:
        raise RefusedError("it is no zip archive")
    if struct.unpack_from("<L", tail, found + 12)[0] in range(DIRECTORY_BYTES_MAX, 0xFFFFFFFF):
        raise RefusedError("it has more than %d entries" % ENTRIES_MAX)
    wide = tail.rfind(b"PK\6\6", 0, found)
    if wide >= 0 and len(tail) >= wide + 48:
        count, length = struct.unpack_from("<QQ", tail, wide + 32)
        if count > ENTRIES_MAX or length > DIRECTORY_BYTES_MAX:
            raise RefusedError("it has more than %d entries" % ENTRIES_MAX)


def check_zipped(info, meter):
    """Raise RefusedError for an entry of a zip archive that is not to be unpacked."""
    meter.entry()
    check_name(info.filename.encode("utf-8", "surrogateescape"))
    if len(os.fsencode(info.filename)) >= PATH_BYTES_MAX:
        raise RefusedError("its entry %s has too long a name" % shown(info.filename))
    if info.flag_bits & 1:
        raise RefusedError("its entry %s is encrypted" % shown(info.filename))
    meter.unpacked(info.file_size)


def unzip_one(archive, info, meter):
    """Unpack a file or folder of a zip archive."""
    target = info.filename.lstrip("/") or "."
    mode = info.external_attr >> 16
    if target.endswith("/") or stat.S_ISDIR(mode):
        os.makedirs(target, exist_ok=True)
        return
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        meter.device()
        return
    make_room(target)
    with archive.open(info) as content, open(target, "xb") as out:
        shutil.copyfileobj(content, out, CHUNK)
        if out.tell() != info.file_size:
            raise RefusedError("it is damaged: %s has not the size it says" % shown(target))
    if mode & 0o777:
        os.chmod(target, mode & 0o777)
    try:
        told = "%d-%d-%d %d:%d:%d" % info.date_time
        then = time.mktime(time.strptime(told, "%Y-%m-%d %H:%M:%S"))
        os.utime(target, (then, then))
    except (OverflowError, ValueError):
        pass  # No such date; the file is as good with today's.


def make_link(archive, info):
    """Make a symbolic link of a zip archive."""
    if info.file_size > PATH_BYTES_MAX:
        raise RefusedError("its entry %s is a link to nowhere" % shown(info.filename))
    target = info.filename.strip("/")
    make_room(target)
    os.symlink(archive.read(info), os.fsencode(target))


def make_room(target):
    """Make the folder of a file, and remove what has its name."""
    folder = os.path.dirname(target)
    if folder:
        os.makedirs(folder, exist_ok=True)
    if os.path.lexists(target) and (os.path.islink(target) or not os.path.isdir(target)):
        os.unlink(target)


def unpack_ar(source, meter):
    """Unpack an ar archive, which a Debian package is, too."""
    long_names = b""
    with open(source, "rb") as archive:
        if archive.read(8) != b"!<arch>\n":
            raise RefusedError("it is no ar archive")
        while True:
            head = archive.read(60)
            if not head.strip(b"\n"):
                return
            if len(head) < 60 or head[58:] != b"`\n":
                raise RefusedError("it is damaged")
            meter.entry()
            size = decimal(head[48:58].strip())
            end = archive.tell() + size
            name = head[:16].rstrip(b" ")
            if name == b"//":
                long_names = archive.read(min(size, DIRECTORY_BYTES_MAX))
            elif name.startswith(b"#1/"):
                name = archive.read(min(decimal(name[3:]), EXTENDED_BYTES_MAX)).rstrip(b"\0")
            elif name[:1] == b"/" and name[1:].isdigit():
                name = long_names[decimal(name[1:]) :].split(b"\n", 1)[0]
            if name not in (b"//", b"/", b"/SYM64/") and not name.startswith(b"__.SYMDEF"):
                copy_out(archive, plain_name(name), end, meter)
            archive.seek(end + end % 2)


def plain_name(name):
    """Return the name of a file in an ar archive."""
    name = name[:-1] if name.endswith(b"/") else name
    if not name or b"/" in name or name in (b".", b".."):
        raise RefusedError("its entry %s is no plain file name" % shown(name))
    return os.fsdecode(name)


def copy_out(archive, target, end, meter):
    """Write an archive's bytes, from where it is read to `end`, to a new file."""
    make_room(target)
    with open(target, "xb") as out:
        while archive.tell() < end:
            chunk = archive.read(min(end - archive.tell(), CHUNK))
            if not chunk:
                raise RefusedError("it is cut short")
            meter.unpacked(len(chunk))
            out.write(chunk)


def unpack_other(source, meter):
    """Unpack a 7z, rar or lha archive: as a tar stream if bsdtar is there, else with 7z."""
    if shutil.which("bsdtar"):
        untar(source, ["bsdtar", "-cf", "-", "--format=pax", "@" + os.path.abspath(source)], meter)
        return
    need("7z")
    asked = ["7z", "l", "-slt", "-ba", "--", os.path.abspath(source)]
    listed = subprocess.Popen(asked, stdout=subprocess.PIPE)
    try:
        for line in listed.stdout:
            key, _equals, value = line.rstrip(b"\n").partition(b" = ")
            if key == b"Path":
                meter.entry()
                check_name(value)
            elif key == b"Size" and value.isdigit():
                meter.unpacked(int(value[:40]))
    finally:
        listed.stdout.close()
        if listed.wait() and not sys.exc_info()[0]:
            raise RefusedError("it is damaged, or no archive of that format")
    # Old ones cannot be told to be quiet.
    asked = ["7z", "x", "-y", "-bd", "--", os.path.abspath(source)]
    code = subprocess.call(asked, stdout=subprocess.DEVNULL)
    if code:
        raise RefusedError("7z ended with code %d: the lines above say why" % code)


# What a name ends with, and how that is unpacked: a tar stream through a program, a single file
# through a program, or a function. The longer ending comes first.
TARS = (
    ((".tar",), None),
    ((".tar.gz", ".tgz"), GZIP),
    ((".tar.bz2", ".tbz2", ".tbz"), BZIP2),
    ((".tar.xz", ".txz"), XZ),
    ((".tar.lzma",), LZMA),
)
FILES = (((".gz",), GZIP), ((".bz2",), BZIP2), ((".xz",), XZ), ((".lzma",), LZMA))
OTHERS = (
    ((".zip", ".ZIP", ".jar"), unzip),
    ((".a", ".deb"), unpack_ar),
    ((".7z", ".7Z", ".rar", ".RAR", ".lha", ".LHA", ".LHa", ".lzh"), unpack_other),
)


def unpack(name, source):
    """Unpack the bytes of `source` as what `name` says they are."""
    plain = os.path.basename(name)
    meter = Meter(os.path.getsize(source))
    for endings, command in TARS:
        if plain.endswith(endings):
            untar(source, command, meter)
            return
    for endings, command in FILES:
        for ending in endings:
            if plain.endswith(ending):
                inflate(source, command, plain[: -len(ending)], meter)
                return
    for endings, unpacker in OTHERS:
        if plain.endswith(endings):
            unpacker(source, meter)
            return
    print("unpack %s: file format not recognized. Ignoring." % name)


def main(arguments):
    """Unpack what the arguments name; return the exit code."""
    options = {}
    while len(arguments) > 2 and arguments[0] in ("--from", "--failure"):
        options[arguments[0]] = arguments[1]
        arguments = arguments[2:]
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        sys.stderr.write(USAGE + "\n")
        return 2
    name = arguments[0]
    source = options.get("--from", name)
    try:
        unpack(name, source)
        return 0
    except (RefusedError, OSError) as error:
        reason = "unpack %s: %s" % (name, error)
    finally:
        sys.stdout.flush()
        if source == name and os.path.lexists(name) and not os.path.isdir(name):
            os.unlink(name)
    sys.stderr.buffer.write(os.fsencode(reason) + b"\n")
    if "--failure" in options:
        with open(options["--failure"], "wb") as out:
            out.write(os.fsencode(reason) + b"\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
