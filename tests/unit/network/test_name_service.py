"""What a sandbox is told about names."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from plasmid.network import dns_messages, name_service, names, outside, proxy_requests
from tests.unit.network.test_dns_messages import query

HOSTS = {"far.test": "192.0.2.7", "other.test": "192.0.2.7", "home.test": "127.0.0.1"}


class Asked:
    """A name service with what it says, and short ways to ask it."""

    def __init__(
        self,
        *allowed: str,
        leads: bool = True,
        upstream: proxy_requests.Upstream | None = None,
        servers: str = "",
        folder: Path = Path("/nowhere"),
    ) -> None:
        self.said: list[str] = []
        self.names = names.Names() if leads else None
        if servers:
            (folder / "resolv.conf").write_text(servers)
        self.service = name_service.NameService(
            outside.Outside(allowed, hosts=HOSTS, upstream=upstream),
            self.names,
            on_refused=self.said.append,
            servers=folder / "resolv.conf",
        )

    async def code(self, name: str, kind: int = dns_messages.A) -> int:
        return (await self.service.answer(query(name, kind)))[3] & 0xF

    async def address(self, name: str, kind: int = dns_messages.A) -> str:
        """The address that a name has; "" for no record."""
        answer = await self.service.answer(query(name, kind))
        count = int.from_bytes(answer[6:8], "big")
        return socket.inet_ntoa(answer[-4:]) if count else ""


async def test_a_name_that_is_not_granted_is_nowhere_and_is_said() -> None:
    asked = Asked("far.test")
    assert await asked.code("other.test") == dns_messages.NO_SUCH_NAME
    assert await asked.code("data.far.test") == dns_messages.NO_SUCH_NAME
    assert "may not reach other.test" in asked.said[0]
    assert len(asked.said) == 2


async def test_programs_own_questions_are_not_worth_a_line() -> None:
    asked = Asked()
    for name in ("printer.local", "4.3.2.1.in-addr.arpa", "job-xxxx"):
        assert await asked.code(name) == dns_messages.NO_SUCH_NAME
    assert await asked.code("far.test", 16) == dns_messages.NO_SUCH_NAME
    assert asked.said == []


async def test_names_of_one_address_have_two_inside() -> None:
    asked = Asked("*")
    first, second = await asked.address("far.test"), await asked.address("other.test")
    assert (first, second) == ("198.18.0.1", "198.18.0.2")
    assert asked.names is not None
    assert asked.names.name(first) == "far.test"


async def test_a_granted_name_has_no_ipv6_address_and_tells_nothing_else() -> None:
    asked = Asked("far.test")
    for kind in (dns_messages.AAAA, 16, 65):
        assert await asked.code("far.test", kind) == dns_messages.OK
        assert await asked.address("far.test", kind) == ""


async def test_a_granted_name_that_leads_home_is_nowhere_and_is_said() -> None:
    asked = Asked("*")
    assert await asked.code("home.test") == dns_messages.NO_SUCH_NAME
    assert asked.said == ["no job may reach home.test: 127.0.0.1 is a loopback address"]


async def test_a_name_that_does_not_exist_is_told_so() -> None:
    asked = Asked("*")
    assert await asked.code("nobody.invalid") in (
        dns_messages.NO_SUCH_NAME,
        dns_messages.SERVER_FAILURE,  # a machine without a name server cannot know
    )


async def test_behind_a_proxy_the_machine_resolves_nothing() -> None:
    asked = Asked("*", upstream=proxy_requests.Upstream(https_proxy="http://192.0.2.1:1"))
    assert await asked.address("nobody.invalid") == "198.18.0.1"


async def test_an_address_of_a_name_leads_back_to_it() -> None:
    asked = Asked("far.test")
    await asked.address("far.test")
    answer = await asked.service.answer(query("1.0.18.198.in-addr.arpa", dns_messages.PTR))
    assert answer.endswith(dns_messages.name_data("far.test"))
    assert await asked.code("9.0.18.198.in-addr.arpa", dns_messages.PTR) == 3


async def test_where_connections_cannot_be_led_no_name_is_known() -> None:
    asked = Asked("*", leads=False)
    assert await asked.code("far.test") == dns_messages.NO_SUCH_NAME
    assert asked.said == []


async def test_localhost_is_known_to_everybody() -> None:
    asked = Asked()
    assert await asked.address("localhost") == "127.0.0.1"
    assert await asked.code("localhost", dns_messages.AAAA) == dns_messages.OK


async def test_only_with_everything_granted_other_questions_are_passed_on(tmp_path: Path) -> None:
    nobody = "nameserver 127.0.0.1\n"  # nothing answers at its port 53: so it was asked
    everything = Asked("*", servers=nobody, folder=tmp_path)
    assert await everything.code("far.test", 16) == dns_messages.SERVER_FAILURE
    one = Asked("far.test", servers=nobody, folder=tmp_path)
    assert await one.code("far.test", 16) == dns_messages.OK


async def test_questions_come_by_stream_and_by_datagram() -> None:
    asked = Asked("far.test")
    stream = socket.create_server(("127.0.0.1", 0))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    place, port = datagrams.getsockname(), stream.getsockname()[1]
    for each in (stream, datagrams):
        each.settimeout(0)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(asked.service.serve(stream, datagrams))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0)
            client.connect(place)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, query("far.test"))
            by_datagram = await loop.sock_recv(client, 512)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        message = query("far.test")
        for _ in range(2):
            writer.write(len(message).to_bytes(2, "big") + message)
            length = int.from_bytes(await reader.readexactly(2), "big")
            assert await reader.readexactly(length) == by_datagram
        writer.close()
        await writer.wait_closed()
        serving.cancel()
    assert by_datagram.endswith(socket.inet_aton("198.18.0.1"))
