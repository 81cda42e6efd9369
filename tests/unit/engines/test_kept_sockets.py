"""Sockets that another process holds for us; `cat` plays conmon."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from plasmid.engines import kept_sockets

Holder = tuple[int, kept_sockets.Ends]


@pytest.fixture
def holder() -> Iterator[Holder]:
    """A process that holds the ends of a pair, by its pidfd; ours are closed."""
    with kept_sockets.pair() as ends:
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=ends)
    pidfd = os.pidfd_open(process.pid)
    with process:
        yield pidfd, ends
    os.close(pidfd)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def names_of(sockets: list[socket.socket]) -> list[object]:
    """Return the addresses of sockets, which are closed."""
    names = [each.getsockname() for each in sockets]
    for each in sockets:
        each.close()
    return names


def test_what_is_put_is_there_again_and_again(holder: Holder, listener: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        assert kept_sockets.put(*holder, "a", [listener, other])
        assert kept_sockets.put(*holder, "b", [listener])
    address = listener.getsockname()
    for _ in range(3):
        assert names_of(kept_sockets.get(*holder, "a")) == [address, ""]
        assert names_of(kept_sockets.get(*holder, "b")) == [address]
    assert kept_sockets.get(*holder, "c") == []


def test_what_is_put_last_under_a_name_counts(holder: Holder, listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as later:
        for each in (listener, later):
            assert kept_sockets.put(*holder, "a", [each])
        assert names_of(kept_sockets.get(*holder, "a")) == [later.getsockname()]


def test_no_program_that_we_start_gets_them(holder: Holder, listener: socket.socket) -> None:
    kept_sockets.put(*holder, "a", [listener])
    (got,) = kept_sockets.get(*holder, "a")
    with got:
        assert not got.get_inheritable()


def test_a_process_that_holds_something_else_keeps_nothing(
    holder: Holder, listener: socket.socket
) -> None:
    pidfd, _ = holder
    assert not kept_sockets.put(pidfd, (0, 1), "a", [listener])
    assert kept_sockets.get(pidfd, (0, 99), "a") == []
