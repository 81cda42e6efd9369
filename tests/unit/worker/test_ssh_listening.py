"""Where SSH servers of tries listen."""

from __future__ import annotations

import contextlib
import socket

import pytest

from plasmid.worker import ssh_listening

HERE = "127.0.0.1"


async def test_the_port_of_last_time_is_taken_again() -> None:
    with await ssh_listening.listen(HERE, "", 0) as first:
        port = first.getsockname()[1]
    with await ssh_listening.listen(HERE, "", port) as again:
        assert again.getsockname()[1] == port
        with await ssh_listening.listen(HERE, "", port) as other:
            assert other.getsockname()[1] != port


async def test_a_range_is_kept_to_and_says_when_it_is_full() -> None:
    with contextlib.ExitStack() as stack:
        first, second = neighbours()
        ports = f"{first}-{second}"
        for last_port in (1, 65_535):
            made = stack.enter_context(await ssh_listening.listen(HERE, ports, last_port))
            assert made.getsockname()[1] in (first, second)
        with pytest.raises(OSError, match=rf"all ports of \[ssh\] ports = '{ports}' are taken"):
            await ssh_listening.listen(HERE, ports, first)


def neighbours() -> tuple[int, int]:
    """Return two free ports that follow one another."""
    while True:
        with contextlib.suppress(OSError, OverflowError), socket.create_server((HERE, 0)) as one:
            port = int(one.getsockname()[1])
            with socket.create_server((HERE, port + 1)):
                return port, port + 1


async def test_an_address_that_is_not_ours_is_an_error_and_not_another_port() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        await ssh_listening.listen("192.0.2.1", "22000-22999", 0)


@pytest.mark.parametrize(
    "host, told",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("jobs.example.org", "jobs.example.org"),
        ("0.0.0.0", socket.gethostname()),
        ("::", socket.gethostname()),
        ("", socket.gethostname()),
    ],
)
def test_people_are_told_where_they_can_go(host: str, told: str) -> None:
    assert ssh_listening.host_told(host) == told
