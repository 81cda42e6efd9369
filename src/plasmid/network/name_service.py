"""The name server inside a sandbox: it knows the hosts that the sandbox may reach, and no other.

A granted name has the address that names.py gives it, if it has any outside. Other questions are
passed on only where every host is granted: else they could carry data out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from plasmid.domain import network_policy
from plasmid.network import dns_messages, inside, names, outside, proxy_requests, relay

_MESSAGE_BYTES_MAX: Final = 65_535
_DATAGRAM_BYTES_MAX: Final = 4096
_PENDING_MAX: Final = 128
_PASSED_ON_SECONDS_MAX: Final = 5.0
_IDLE_SECONDS_MAX: Final = 30.0
_PKTINFO: Final = struct.Struct("=i4s4s")
_NAMESERVER: Final = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)
# Asked for by programs of their own accord: nobody misses an answer.
_NOT_WORTH_A_LINE: Final = (".arpa", ".local", ".localdomain", ".localhost", ".internal")


class NameService:
    """Answers one sandbox; `known` is None where connections cannot be led to us."""

    def __init__(
        self,
        reachable: outside.Outside,
        known: names.Names | None,
        *,
        on_refused: Callable[[str], None],
        servers: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self._outside = reachable
        self._names = known
        self._on_refused = on_refused
        self._servers = servers

    async def answer(self, message: bytes) -> bytes:
        """Return the answer to a message; b"" if it deserves none."""
        try:
            question = dns_messages.read(message)
        except dns_messages.MessageError as error:
            return dns_messages.refuse(message, error.code)
        return await self._answer(message, question)

    async def _answer(self, message: bytes, question: dns_messages.Question) -> bytes:
        reverse = dns_messages.reversed_address(question.name)
        if question.name == "localhost":
            return dns_messages.answer(question, _localhost(question.kind))
        if self._names is not None and reverse and names.is_given(reverse):
            return self._answer_reverse(question, self._names.name(reverse))
        if self._names is None or not self._outside.is_allowed(question.name):
            self._say_refusal(question)
            return dns_messages.answer(question, code=dns_messages.NO_SUCH_NAME)
        if question.is_for_address:
            return await self._answer_address(question, self._names)
        if "*" in self._outside.allowed:
            return await self._pass_on(message, question)
        return dns_messages.answer(question)

    def _say_refusal(self, question: dns_messages.Question) -> None:
        name = question.name
        worth_a_line = "." in name and not name.endswith(_NOT_WORTH_A_LINE)
        if question.is_for_address and worth_a_line and not self._outside.is_allowed(name):
            self._on_refused(network_policy.refusal(name))

    def _answer_reverse(self, question: dns_messages.Question, name: str | None) -> bytes:
        if name is None:
            return dns_messages.answer(question, code=dns_messages.NO_SUCH_NAME)
        is_asked = question.kind == dns_messages.PTR
        return dns_messages.answer(question, (dns_messages.name_data(name),) if is_asked else ())

    async def _answer_address(self, question: dns_messages.Question, known: names.Names) -> bytes:
        try:
            # Where a proxy resolves for us, this machine may know no name of the outside.
            if not self._outside.upstream_for(question.name, tunnel=True):
                await self._outside.find(question.name)
            address = known.address(question.name)
        except proxy_requests.RefusedError as refused:
            self._on_refused(refused.line)
            return dns_messages.answer(question, code=dns_messages.NO_SUCH_NAME)
        except names.TooManyNamesError as error:
            self._on_refused(str(error))
            return dns_messages.answer(question, code=dns_messages.SERVER_FAILURE)
        except (OSError, UnicodeError) as error:
            return dns_messages.answer(question, code=_code_of(error))
        records = (ipaddress.IPv4Address(address).packed,)
        return dns_messages.answer(question, records if question.kind == dns_messages.A else ())

    async def _pass_on(self, message: bytes, question: dns_messages.Question) -> bytes:
        """Ask the machine's own name servers, in turn."""
        loop = asyncio.get_running_loop()
        for server in _NAMESERVER.findall(await asyncio.to_thread(_text, self._servers)):
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            with (
                contextlib.suppress(OSError, TimeoutError),
                socket.socket(family, socket.SOCK_DGRAM) as asked,
            ):
                asked.settimeout(0)
                asked.connect((server, 53))
                async with asyncio.timeout(_PASSED_ON_SECONDS_MAX):
                    await loop.sock_sendall(asked, message)
                    return await loop.sock_recv(asked, _MESSAGE_BYTES_MAX)
        return dns_messages.answer(question, code=dns_messages.SERVER_FAILURE)

    async def serve(self, stream: socket.socket, datagrams: socket.socket) -> None:
        """Answer what comes to a listener and to a socket of datagrams, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.serve(stream, self._attend))
            with contextlib.closing(datagrams):
                pending: set[asyncio.Task[None]] = set()
                while True:
                    await relay.ready(datagrams, for_writing=False)
                    with contextlib.suppress(OSError):
                        received = datagrams.recvmsg(_DATAGRAM_BYTES_MAX, 64)
                        if len(pending) < _PENDING_MAX:
                            task = group.create_task(self._reply(datagrams, received))
                            pending.add(task)
                            task.add_done_callback(pending.discard)

    async def _reply(
        self, datagrams: socket.socket, received: tuple[bytes, list[relay.Control], int, Any]
    ) -> None:
        message, control, _, sender = received
        answer = await self.answer(message)
        with contextlib.suppress(OSError):
            if answer:
                datagrams.sendmsg([answer], _from_where_it_was_asked(control), 0, sender)

    async def _attend(self, client: socket.socket) -> None:
        """Answer the questions of one connection."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(_IDLE_SECONDS_MAX):
                    length = int.from_bytes(await relay.receive(client, 2), "big")
                    message = await relay.receive(client, length)
                answer = await self.answer(message)
                await loop.sock_sendall(client, len(answer).to_bytes(2, "big") + answer)


def _from_where_it_was_asked(control: list[relay.Control]) -> list[relay.Control]:
    """Return what makes an answer come from the server that a program thinks it asked."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, inside.IP_PKTINFO):
            _, _, asked = _PKTINFO.unpack_from(data)
            return [(level, kind, _PKTINFO.pack(0, asked, bytes(4)))]
    return []


def _localhost(kind: int) -> tuple[bytes, ...]:
    found = {dns_messages.A: "127.0.0.1", dns_messages.AAAA: "::1"}.get(kind)
    return (ipaddress.ip_address(found).packed,) if found else ()


def _code_of(error: Exception) -> int:
    passing = isinstance(error, OSError) and error.errno not in (
        socket.EAI_NONAME,
        socket.EAI_NODATA,
    )
    return dns_messages.SERVER_FAILURE if passing else dns_messages.NO_SUCH_NAME


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
