"""Bodies of calls: how many values they may hold, and what is said of wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from plasmid.domain import errors
from plasmid.methods import decode
from plasmid.methods.decode import VALUES_MAX
from tests import turns


async def refused(body: bytes) -> bool:
    """Say whether a body has too many values."""
    try:
        await decode.require_few_values(body)
    except errors.InvalidInput:
        return True
    return False


async def test_the_refusal_says_how_many_and_what_to_do() -> None:
    with pytest.raises(errors.InvalidInput, match="more than 250000 values; make several calls"):
        await decode.require_few_values(b"[" + b"1," * VALUES_MAX * 2 + b"1]")


@pytest.mark.parametrize("inner", [b"1", b'"a"', b"[]", b"{}", b'{"a":1}', b'["a","b"]'])
async def test_a_body_of_too_many_values_is_refused(inner: bytes) -> None:
    assert await refused(b"[" + (inner + b",") * (VALUES_MAX + 1) + inner + b"]")
    assert not await refused(b"[" + (inner + b",") * (VALUES_MAX // 4) + inner + b"]")


@pytest.mark.parametrize(
    "text", [b",", b"[", b"{", b'\\"', b'\\",', b"\\\\", b"\\u0022,", b"x,", "é,".encode()]
)
async def test_a_long_text_is_one_value_whatever_stands_in_it(text: bytes) -> None:
    assert not await refused(b'{"a": "' + text * (2 * VALUES_MAX) + b'"}')
    assert await refused(b'{"a": "' + text + b'", "b": [' + b"1," * (VALUES_MAX + 1) + b"1]}")


async def test_a_text_without_end_is_left_to_the_decoder() -> None:
    assert not await refused(b'{"a": "' + b'\\",' * VALUES_MAX)


@pytest.mark.parametrize("at", range(-3, 3))
@pytest.mark.parametrize("inner", [b'", "b": "', b'\\"', b"\\\\", b"\\\\\\"])
async def test_a_text_is_one_value_wherever_a_slice_ends_in_it(inner: bytes, at: int) -> None:
    begin = b'{"a": "' + b"x" * (decode.SLICE_BYTES + at - 8)
    assert not await refused(begin + inner + b",y" * (VALUES_MAX + 1) + b'"}')


async def test_others_have_their_turn_while_a_long_body_is_looked_at() -> None:
    slices = 20
    body = b'["' + b",x" * (slices * decode.SLICE_BYTES // 2) + b'"]'
    with turns.counted() as beside:
        await decode.require_few_values(body)
    assert beside.count > 2 * slices - 2


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1e400"])
def test_a_number_that_nothing_can_hold_is_out_of_range(number: bytes) -> None:
    with pytest.raises(errors.InvalidInput) as raised:
        decode.decode(b'{"a": [' + number + b"]}", dict[str, Any])
    assert raised.value.message == decode.OUT_OF_RANGE
