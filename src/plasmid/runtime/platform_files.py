"""Files of the platform for dxfuse: what is where, and their bytes by ranges.

A range is either all the bytes that were asked for or an error. Runs on Python 3.4 and later.
"""

import collections
import contextlib
import errno
import http.client
import json
import os
import ssl
import threading
import time
import urllib.parse

from fuse_kernel import Node

BLOCK_BYTES = 2 << 20
BLOCKS_MAX = 24
PAUSES_SECONDS = (0.2, 0.5, 1, 2, 4, 8)
REFUSAL_SECONDS = 2
CONNECT_SECONDS_MAX = 60
OBJECTS_AT_ONCE_MAX = 1000
FIELDS = {
    "name": True,
    "size": True,
    "state": True,
    "folder": True,
    "created": True,
    "modified": True,
}
# The platform's answers that another try may change.
_TRANSIENT = (408, 429, 500, 502, 503, 504)


class RefusedError(Exception):
    """The platform says no, or what it says cannot be used; the message says why."""


class Platform:
    """The API, as the environment of a job names it."""

    def __init__(self, environ):
        context = json.loads(environ["DX_SECURITY_CONTEXT"])
        self.authorization = "%s %s" % (context["auth_token_type"], context["auth_token"])
        protocol = environ.get("DX_APISERVER_PROTOCOL", "https")
        default_port = 443 if protocol == "https" else 80
        port = environ.get("DX_APISERVER_PORT") or default_port
        self.url = "%s://%s:%s" % (protocol, environ["DX_APISERVER_HOST"], port)

    def call(self, route, body):
        """Return the answer of a method, trying for a while; raises RefusedError or OSError."""
        return self._decoded(route, persistently(lambda: self._ask(route, body)))

    def call_once(self, route, body):
        """Return the answer of a method; raises RefusedError or OSError."""
        return self._decoded(route, self._ask(route, body))

    def _ask(self, route, body):
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        return request("POST", self.url + route, headers, json.dumps(body).encode())

    def _decoded(self, route, said):
        status, answer = said[:2]
        if status in _TRANSIENT:
            raise OSError(errno.EIO, "%s was answered by status %d" % (route, status))
        try:
            decoded = json.loads(answer.decode())
        except ValueError:
            raise RefusedError("%s was answered by something else than JSON" % route)
        if status != 200:
            raise RefusedError(decoded.get("error", {}).get("message", "status %d" % status))
        return decoded


def request(method, url, headers, content=None):
    """Return (status, body, headers) of one HTTP request; a body that was cut off is an OSError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        link = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=CONNECT_SECONDS_MAX, context=context
        )
    else:
        link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_SECONDS_MAX)
    try:
        link.request(
            method, urllib.parse.urlunsplit(("", "") + parts[2:4] + ("",)), content, headers
        )
        answer = link.getresponse()
        return answer.status, answer.read(), answer
    except http.client.HTTPException as error:
        raise OSError(errno.EIO, "the answer broke off: %r" % error)
    finally:
        link.close()


def persistently(ask, pause=time.sleep):
    """Return what `ask` gives, (status, ...); it is asked again while that may help."""
    for seconds in PAUSES_SECONDS:
        try:
            answer = ask()
            if answer[0] not in _TRANSIENT:
                return answer
        except OSError:
            pass
        pause(seconds)
    return ask()


class Source:
    """One file of the platform; asks for its download address once, and anew when that expires."""

    def __init__(self, platform, file_id, project, size):
        self.platform = platform
        self.file_id = file_id
        self.project = project
        self.size = size
        self.address = None

    def fetch(self, offset, size):
        """Return exactly these bytes; raises OSError."""
        try:
            status, content, answer = persistently(lambda: self._get(offset, size))
            if status in (401, 403):
                self.address = None
                status, content, answer = persistently(lambda: self._get(offset, size))
        except RefusedError as error:
            raise OSError(errno.EIO, str(error))
        wanted = "bytes %d-%d/" % (offset, offset + size - 1)
        is_whole = status == 200 and offset == 0 and size == self.size
        is_range = status == 206 and (answer.getheader("Content-Range") or "").startswith(wanted)
        if not (is_whole or is_range) or len(content) != size:
            raise OSError(errno.EIO, "%s: no such range (status %d)" % (self.file_id, status))
        return content

    def _get(self, offset, size):
        if self.address is None:
            asked = {"project": self.project} if self.project else {}
            self.address = self.platform.call_once("/%s/download" % self.file_id, asked)
        headers = dict(self.address.get("headers") or {})
        headers["Range"] = "bytes=%d-%d" % (offset, offset + size - 1)
        return request("GET", self.address["url"], headers)


class Blocks:
    """Reads files by blocks, keeps the latest, and fetches the next of who reads on and on."""

    def __init__(self, fetch=lambda source, offset, size: source.fetch(offset, size)):
        self.fetch = fetch
        self.lock = threading.Lock()
        self.kept = collections.OrderedDict()
        self.last = {}

    def read(self, source, offset, size):
        """Return exactly these bytes of a file; raises OSError."""
        first, last = offset // BLOCK_BYTES, (offset + size - 1) // BLOCK_BYTES
        pieces = [self._block(source, index).content() for index in range(first, last + 1)]
        self._read_ahead(source, first, last)
        skipped = offset - first * BLOCK_BYTES
        return b"".join(pieces)[skipped : skipped + size]

    def _read_ahead(self, source, first, last):
        with self.lock:
            goes_on = self.last.get(source, -1) in (first - 1, first) and first > 0
            self.last[source] = last
        if (goes_on or first == 0) and (last + 1) * BLOCK_BYTES < source.size:
            block = self._block(source, last + 1)
            thread = threading.Thread(target=block.prefetch)
            thread.daemon = True
            if not block.is_begun:
                thread.start()

    def _block(self, source, index):
        with self.lock:
            key = (source, index)
            block = self.kept.pop(key, None)
            if block is None or block.is_worth_another_try:
                offset = index * BLOCK_BYTES
                size = min(BLOCK_BYTES, source.size - offset)
                block = _Block(lambda: self.fetch(source, offset, size))
            self.kept[key] = block
            while len(self.kept) > BLOCKS_MAX:
                self.kept.popitem(last=False)
            return block


class _Block:
    """The bytes of one block, fetched once by whoever wants them first; the others wait.

    What could not be had is refused at once for a while: the kernel asks again, page by page.
    """

    def __init__(self, fetch):
        self._fetch = fetch
        self._lock = threading.Lock()
        self._bytes = None
        self._error = None
        self._failed_at = None
        self.is_begun = False

    @property
    def is_worth_another_try(self):
        failed_at = self._failed_at
        return failed_at is not None and time.monotonic() - failed_at > REFUSAL_SECONDS

    def content(self):
        self.is_begun = True
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._bytes is None:
                try:
                    self._bytes = self._fetch()
                except OSError as error:
                    self._error = OSError(errno.EIO, str(error))
                    self._failed_at = time.monotonic()
                    raise self._error
            return self._bytes

    def prefetch(self):
        with contextlib.suppress(OSError):  # whoever reads it is told
            self.content()


def from_manifest(platform, manifest):
    """Return the tree that a manifest describes; raises RefusedError, OSError."""
    root = Node()
    files = manifest.get("Files") or manifest.get("files") or []
    for at in range(0, len(files), OBJECTS_AT_ONCE_MAX):
        chunk = files[at : at + OBJECTS_AT_ONCE_MAX]
        for entry, described in zip(chunk, _descriptions(platform, chunk)):  # noqa: B905
            folder = _folder(root, entry.get("parent") or "/")
            name = entry.get("fname") or described["name"]
            _add(folder, name, _node(platform, described, entry["file_id"]))
    for entry in manifest.get("Directories") or manifest.get("directories") or []:
        top = _folder(root, entry["dirname"])
        _add_project(platform, top, entry["proj_id"], entry.get("folder") or "/")
    return root


def from_projects(platform, projects):
    """Return a tree with a folder for each project, given by id or name."""
    root = Node()
    for given in projects:
        is_id = given.startswith(("project-", "container-"))
        project = given if is_id else _find_project(platform, given)
        name = platform.call("/%s/describe" % project, {"fields": {"name": True}}).get("name")
        _add_project(platform, _folder(root, (name or project).replace("/", "___")), project, "/")
    return root


def _find_project(platform, name):
    asked = {"name": name, "level": "VIEW", "limit": 2}
    found = platform.call("/system/findProjects", asked)["results"]
    if len(found) != 1:
        raise RefusedError(
            "%s project is called %r" % ("no" if not found else "more than one", name)
        )
    return found[0]["id"]


def _descriptions(platform, entries):
    objects = []
    for entry in entries:
        named = {"id": entry["file_id"]}
        if entry.get("proj_id"):
            named["project"] = entry["proj_id"]
        objects.append(named)
    answers = _described(platform, objects)
    # A file may be elsewhere than its link says.
    lost = [place for place, answer in enumerate(answers) if "error" in answer]
    again = _described(platform, [{"id": objects[place]["id"]} for place in lost]) if lost else []
    for place, answer in zip(lost, again):  # noqa: B905
        answers[place] = answer
        objects[place].pop("project", None)
    for named, answer in zip(objects, answers):  # noqa: B905
        if "error" in answer:
            raise RefusedError("%s: %s" % (named["id"], answer["error"].get("message")))
        described = answer["describe"]
        if described.get("state") != "closed":
            raise RefusedError("%s is not closed" % named["id"])
        yield dict(described, project=named.get("project"))


def _described(platform, objects):
    asked = {"objects": objects, "classDescribeOptions": {"*": {"fields": FIELDS}}}
    return platform.call("/system/describeDataObjects", asked)["results"]


def _add_project(platform, top, project, below):
    """Add all files and folders of a project that are below a folder of it."""
    prefix = below.rstrip("/")
    answer = platform.call("/%s/describe" % project, {"fields": {"folders": True}})
    for folder in answer.get("folders") or []:
        if folder.startswith(prefix + "/"):
            _folder(top, folder[len(prefix) :])
    asked = {
        "class": "file",
        "state": "closed",
        "scope": {"project": project, "folder": below, "recurse": True},
        "describe": {"fields": FIELDS},
        "limit": OBJECTS_AT_ONCE_MAX,
    }
    while True:
        answer = platform.call("/system/findDataObjects", asked)
        for found in answer["results"]:
            described = dict(found["describe"], project=project)
            folder = _folder(top, described["folder"][len(prefix) :])
            _add(folder, described["name"], _node(platform, described, found["id"]))
        if answer.get("next") is None:
            return
        asked["starting"] = answer["next"]


def _node(platform, described, file_id):
    size = int(described["size"])
    seconds = int(described.get("modified") or described.get("created") or 0) // 1000
    source = Source(platform, file_id, described.get("project"), size)
    return Node(size=size, source=source, seconds=seconds)


def _folder(top, path):
    """Return a folder of a tree, made if it is not there."""
    for name in path.split("/"):
        if name in ("", "."):
            continue
        if name == "..":
            raise RefusedError("%r leads out of the mounted folder" % path)
        found = top.entries.get(name)
        if found is None:
            found = top.entries[name] = Node(parent=top)
        elif not found.is_folder:
            raise RefusedError("%r is a file and a folder" % path)
        top = found
    return top


def _add(folder, name, node):
    """Add a file under its name; where that is taken, in a folder 1, 2, ... beside it."""
    name = name.replace("/", "___")
    if name in (".", "..") or len(os.fsencode(name)) > 255:
        raise RefusedError("%r is no name that a folder can hold" % name)
    place, number = folder, 0
    while name in place.entries:
        number += 1
        place = _folder(folder, str(number))
    place.entries[name] = node
    node.parent = place
