"""Who may log in to a job by SSH: from which addresses, with which key (contract H.1, H.2, H.6)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, Final

from plasmid.domain import errors, keys

EVERYWHERE: Final = "*"
FIELD: Final = "allowSSH"
WAS_ALLOWED: Final = "sshWasAllowed"
"""The setting of a job in which somebody could once log in, also if nobody can by now."""
ADDRESSES_MAX: Final = 256
KEY_BYTES_MAX: Final = 16_384
RSA_BITS_MIN: Final = 2048
DISABLED: Final = (
    "Jobs cannot be reached by SSH here: the operator has set `enabled = false` in [ssh] of"
    " plasmid.toml"
)

_KEY_FIELD: Final = "sshPublicKey"
# By the name of a key's type, how many strings follow it in the key (RFC 4253, 5656, 8709).
_KEY_PARTS: Final = {
    "ssh-ed25519": 1,
    "ssh-ed448": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_SIGN: Final = 0x80  # set in the first byte of a number that is less than 0
_POINT: Final = b"\4"
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def plain_address(address: str) -> str:
    """Return an address in its one form: an IPv4 address as such, not within one of IPv6.

    What is no address is returned as it is.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def source_of(address: str) -> str:
    """Return what stands for those who may be one and the same: of IPv6, a network of 64 bits."""
    plain = plain_address(address)
    return str(_network(f"{plain}/64")) if ":" in plain else plain


def allowed_by(body: dict[str, Any]) -> list[str]:
    """Return whom a call lets in; raises InvalidInput for what is no list of addresses."""
    given = body.get(FIELD)
    if isinstance(given, list) and any(isinstance(entry, list) for entry in given):
        raise errors.InvalidInput(
            f'Expected key "{FIELD}" of input to hold addresses, not lists of them; `dx run` sends'
            " one for --ssh-proxy: leave that out, and then log in by"
            " `dx ssh --ssh-proxy ADDRESS:PORT JOB`"
        )
    found = keys.strings(body, FIELD) or []
    check_addresses(found)
    return found


def check_addresses(given: list[str]) -> None:
    """Raise InvalidInput for what is neither an address, a network of them, nor `*`."""
    if len(given) > ADDRESSES_MAX:
        raise errors.InvalidInput(
            f'Expected key "{FIELD}" of input to hold at most {ADDRESSES_MAX} addresses: give'
            " networks such as 192.0.2.0/24 instead"
        )
    for entry in given:
        if entry != EVERYWHERE and _network(entry) is None:
            raise errors.InvalidInput(
                f'Expected key "{FIELD}" of input to hold addresses such as 192.0.2.7, networks'
                f' such as 192.0.2.0/24, or "*"; {entry[:100]!r} is none of them (of a host or a'
                " proxy, give the address, not the name)"
            )


def is_allowed(address: str, allowed: Iterable[str]) -> bool:
    """Say whether who comes from an address may come in; nobody does without an entry for it."""
    try:
        peer = ipaddress.ip_address(plain_address(address))
    except ValueError:
        return False
    return any(entry == EVERYWHERE or _holds(_network(entry), peer) for entry in allowed)


def _holds(network: _Network | None, peer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return network is not None and network.version == peer.version and peer in network


def _network(entry: str) -> _Network | None:
    """Return the network that an entry names; 192.0.2.7/24 is that of the address."""
    address, slash, length = entry.partition("/")
    if "%" in entry or (slash and not length.isdigit()):
        return None
    try:
        return ipaddress.ip_network(f"{plain_address(address)}{slash}{length}", strict=False)
    except ValueError:
        return None


def check_public_key(text: str) -> None:
    """Raise InvalidInput for what is no public key that an SSH server can ask for."""
    if "PRIVATE KEY" in text:
        raise errors.InvalidInput(f"Tried to put a private key in the {_KEY_FIELD} field")
    line = text.strip()
    kind, _, rest = line.partition(" ")
    if len(text) > KEY_BYTES_MAX or "\n" in line or "\0" in line or not rest:
        raise _no_key("it is not one line of the form `TYPE KEY COMMENT`")
    if kind not in _KEY_PARTS:
        known = ", ".join(_KEY_PARTS)
        raise _no_key(f"its type {kind[:60]!r} is none of {known}")
    try:
        parts = list(_parts(base64.b64decode(rest.split(None, 1)[0], validate=True)))
    except (binascii.Error, ValueError, IndexError) as error:
        raise _no_key("its second word is no key in base64, or only a part of one") from error
    if len(parts) != _KEY_PARTS[kind] + 1 or parts[0] != kind.encode() or b"" in parts:
        raise _no_key(f"its second word is not a key of the type {kind}")
    bits = int.from_bytes(parts[2], "big").bit_length() if kind == "ssh-rsa" else RSA_BITS_MIN
    if bits < RSA_BITS_MIN:
        raise _no_key(f"it has only {bits} bits, and at least {RSA_BITS_MIN} are needed")
    if not _has_sound_parts(kind, parts[1:]):
        raise _no_key(f"its second word is not a key of the type {kind}")


def _has_sound_parts(kind: str, parts: list[bytes]) -> bool:
    """Say whether the parts of a key can be what its type has: libraries stumble over others."""
    if kind == "ssh-rsa":
        exponent, modulus = parts
        is_odd = exponent[-1] & modulus[-1] & 1 == 1
        return is_odd and exponent[0] < _SIGN and modulus[0] < _SIGN and exponent != b"\1"
    *_, application = parts
    if kind.startswith("sk-") and not _is_text(application):
        return False
    if curve := kind.partition("nistp")[2]:
        point_bytes = 1 + 2 * ((int(curve[:3]) + 7) // 8)
        name, point = parts[:2]
        is_plain = point[:1] == _POINT  # OpenSSH knows no others
        return name == f"nistp{curve[:3]}".encode() and is_plain and len(point) == point_bytes
    return len(parts[0]) == (57 if kind == "ssh-ed448" else 32)


def _is_text(part: bytes) -> bool:
    try:
        return part.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _parts(blob: bytes) -> Iterator[bytes]:
    """Yield the strings that a key is made of, each after its length in 4 bytes."""
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            raise ValueError("a string ends too early")
        yield blob[4 : 4 + length]
        blob = blob[4 + length :]


def _no_key(why: str) -> errors.InvalidInput:
    return errors.InvalidInput(
        f'Expected key "{_KEY_FIELD}" of input to be an OpenSSH public key, but {why}: send the'
        " whole line of the .pub file (`dx ssh_config` makes a key and sends it)"
    )
