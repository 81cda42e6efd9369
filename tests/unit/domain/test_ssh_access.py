"""Who may log in by SSH: addresses, networks, and what is a public key (contract H.1, H.6)."""

from __future__ import annotations

import base64

import pytest

from plasmid.domain import errors, ssh_access

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlm/N/eTR3HgyEQAFGRmyT3tOvRTjdIXCVuGI4bDoB3"


def test_of_ipv6_a_network_is_one_source() -> None:
    assert ssh_access.source_of("2001:db8::1") == ssh_access.source_of("2001:db8::ffff:1")
    assert ssh_access.source_of("2001:db8::1") != ssh_access.source_of("2001:db8:0:1::1")
    assert ssh_access.source_of("::ffff:192.0.2.7") == ssh_access.source_of("192.0.2.7")
    assert ssh_access.source_of("192.0.2.7") != ssh_access.source_of("192.0.2.8")


def key(kind: str, *parts: bytes) -> str:
    """Return a key's line made of these parts."""
    strings = [kind.encode(), *parts]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in strings)
    return f"{kind} {base64.b64encode(blob).decode()} somebody@somewhere\n"


@pytest.mark.parametrize(
    "address, allowed",
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.7", ["198.51.100.1", "192.0.2.0/24"]),
        ("192.0.2.7", ["192.0.2.9/24"]),
        ("192.0.2.7", ["*"]),
        ("::ffff:192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.7", ["::ffff:192.0.2.7"]),
        ("2001:db8::1", ["2001:db8::/32"]),
        ("2001:db8::1", ["2001:0db8:0:0::1"]),
        ("fe80::1%eth0", ["fe80::/10"]),
        ("127.0.0.1", ["0.0.0.0/0"]),
    ],
)
def test_who_is_named_comes_in(address: str, allowed: list[str]) -> None:
    ssh_access.check_addresses(allowed)
    assert ssh_access.is_allowed(address, allowed)


@pytest.mark.parametrize(
    "address, allowed",
    [
        ("192.0.2.7", []),
        ("192.0.2.7", ["192.0.2.8", "192.0.3.0/24", "2001:db8::/32"]),
        ("2001:db8::1", ["0.0.0.0/0"]),
        ("192.0.2.7", ["::/0"]),
        ("not an address", ["*"]),
        ("", ["*"]),
        ("192.0.2.7", ["nonsense"]),
    ],
)
def test_nobody_else_does(address: str, allowed: list[str]) -> None:
    assert not ssh_access.is_allowed(address, allowed)


@pytest.mark.parametrize(
    "entry",
    [
        "localhost", "proxy.example.org", "999.999.9.9", "1.2.3", "1.2.3.4/33", "1.2.3.4/",
        "1.2.3.4/255.255.255.0", "1.2.3.4/-1", " 1.2.3.4", "1.2.3.4:22", "**", "fe80::1%eth0", "/",
        "", "0x7f000001", "1.2.3.4\n", "2130706433",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_name_with_the_remedy(entry: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        ssh_access.check_addresses(["192.0.2.1", entry])
    assert '"allowSSH"' in caught.value.message
    assert repr(entry) in caught.value.message
    assert "192.0.2.0/24" in caught.value.message


def test_what_dx_run_sends_for_a_proxy_is_refused_with_another_way() -> None:
    assert ssh_access.allowed_by({"allowSSH": ["192.0.2.1", "*"]}) == ["192.0.2.1", "*"]
    assert ssh_access.allowed_by({}) == []
    with pytest.raises(errors.InvalidInput, match="`dx ssh --ssh-proxy ADDRESS:PORT JOB`"):
        ssh_access.allowed_by({"allowSSH": ["192.0.2.1", ["proxy.example", "3128"]]})
    with pytest.raises(errors.InvalidInput, match="give the address, not the name"):
        ssh_access.allowed_by({"allowSSH": ["192.0.2.1", "proxy.example"]})


def test_there_is_a_limit_of_addresses() -> None:
    ssh_access.check_addresses(["192.0.2.1"] * ssh_access.ADDRESSES_MAX)
    with pytest.raises(errors.InvalidInput, match="at most 256"):
        ssh_access.check_addresses(["192.0.2.1"] * (ssh_access.ADDRESSES_MAX + 1))


@pytest.mark.parametrize(
    "address, plain",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("a name", "a name"),
        ("", ""),
    ],
)
def test_an_address_has_one_form(address: str, plain: str) -> None:
    assert ssh_access.plain_address(address) == plain


@pytest.mark.parametrize(
    "text",
    [
        ED25519,
        f"{ED25519} name@host ü\n",
        f"  {ED25519}\tname\r\n",
        key("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 256),
        key("ssh-ed448", b"x" * 57),
        key("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"x" * 64),
        key("ecdsa-sha2-nistp521", b"nistp521", b"\4" + b"x" * 132),
        key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" + b"x" * 64, b"ssh:"),
        key("sk-ssh-ed25519@openssh.com", b"x" * 32, b"ssh:"),
    ],
)
def test_a_public_key_is_one(text: str) -> None:
    ssh_access.check_public_key(text)


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "one line"),
        ("nonsense", "one line"),
        ("ssh-ed25519", "one line"),
        (f"{ED25519}\n{ED25519}\n", "one line"),
        ("x" * 20_000, "one line"),
        (f'command="id" {ED25519}', "type"),
        (f"ssh-dss {ED25519.split()[1]}", "type"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "type"),
        ("ssh-ed25519 not-base64!", "base64"),
        ("ssh-rsa AAAA", "only a part"),
        (f"ssh-ed25519 {ED25519.split()[1][:40]}", "only a part"),
        (f"ssh-rsa {ED25519.split()[1]}", "not a key of the type ssh-rsa"),
        (key("ssh-ed25519", b"x" * 32, b"more"), "not a key of the type"),
        (key("ssh-rsa", b"\1\0\1", b"\xff" * 128), "1024 bits"),
        (key("ssh-ed25519", b"x" * 31), "not a key of the type"),
        (key("ssh-ed448", b"x" * 32), "not a key of the type"),
        (key("ecdsa-sha2-nistp256", b"nistp384", b"\4" + b"x" * 64), "not a key of the type"),
        (key("ecdsa-sha2-nistp384", b"nistp384", b"\4" + b"x" * 64), "not a key of the type"),
        (key("ecdsa-sha2-nistp256", b"nistp256", b"\2" + b"x" * 64), "not a key of the type"),
        (key("ecdsa-sha2-nistp256", b"nistp256", b""), "not a key of the type"),
        (key("sk-ssh-ed25519@openssh.com", b"x" * 33, b"ssh:"), "not a key of the type"),
        (key("sk-ssh-ed25519@openssh.com", b"x" * 32, b"\xff"), "not a key of the type"),
        (key("ssh-rsa", b"\0", b"\0" + b"\xff" * 256), "not a key of the type"),
        (key("ssh-rsa", b"\2", b"\0" + b"\xff" * 256), "not a key of the type"),
        (key("ssh-rsa", b"\1", b"\0" + b"\xff" * 256), "not a key of the type"),
        (key("ssh-rsa", b"\3", b"\xff" * 256), "not a key of the type"),
        (key("ssh-rsa", b"\xff", b"\0" + b"\xff" * 256), "not a key of the type"),
    ],
)
def test_nonsense_is_no_key_and_the_message_says_why(text: str, why: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        ssh_access.check_public_key(text)
    assert '"sshPublicKey"' in caught.value.message
    assert why in caught.value.message
    assert "dx ssh_config" in caught.value.message


def test_a_private_key_is_refused_in_the_platforms_words() -> None:
    with pytest.raises(errors.InvalidInput, match="Tried to put a private key in the sshPublicKey"):
        ssh_access.check_public_key("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n")
