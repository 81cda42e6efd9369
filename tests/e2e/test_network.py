"""What a job can reach, tried by jobs that want more than they may (reliability.md X04, X05).

The witnesses are not inside: servers at every place that a job must not get to, which remember who
spoke to them, and the packets on the only cable to the outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e import outside
from tests.e2e.driver import Dx, Ended, Site, opened, until, user

pytestmark = pytest.mark.e2e

BANNER = outside.BANNER.decode().strip()
# Two names of one address, and names that lead home (DNS rebinding).
CONFIG = f"""
[network]
hosts = ["granted.test={outside.FAR}", "other.test={outside.FAR}", "six.test={outside.FAR6}",
         "loop.test=127.0.0.1", "mapped.test=::ffff:127.0.0.1", "own.test={outside.NEAR}",
         "metadata.test=169.254.169.254", "closed.test={outside.NEAR}"]
closed_addresses = ["203.0.113.7/32"]
"""
PRELUDE = """
import ctypes, json, os, socket, subprocess, sys

def tried(attempt):
    try:
        return str(attempt())
    except OSError as error:
        return "refused: %s" % (error.strerror or error)
    except Exception as error:
        return "refused: %s" % type(error).__name__

def tcp(host, port, data=b""):
    with socket.create_connection((host, port), timeout=20) as link:
        link.sendall(data)
        return link.recv(200).decode("latin-1").strip()

def udp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(0.3)
        link.connect((host, port))
        link.send(b"out")
        return link.recv(200)

def opened(*kind):
    socket.socket(*kind).close()
    return "opened"

def ran(*command):
    done = subprocess.run(command, capture_output=True, timeout=100)
    if done.returncode:
        raise OSError(done.stderr.decode()[-200:])
    return done.stdout.decode()
"""


class Place(NamedTuple):
    """The outside, this machine's own servers, and a server that knows the names outside."""

    outside: outside.Outside
    host: outside.Canaries
    ports: dict[str, int]
    site: Site
    dx: Dx


@pytest.fixture(scope="module")
def place(images_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(outside.world())
        here, ports = outside.host_canaries()
        stack.callback(here.close)
        site = stack.enter_context(opened(images_folder, config=CONFIG))
        dx = user(site, tmp_path_factory.mktemp("network"), "network")
        yield Place(world, here, ports, site, dx)


def results(place: Place, code: str, network: list[str], **given: Any) -> tuple[Any, Ended]:
    """What a Python job returns from its `attempts`, and its end."""
    whole = PRELUDE + f"GIVEN = json.loads({json.dumps(given)!r})\n" + code
    whole += "\nimport dxpy\n@dxpy.entry_point('main')\ndef main(**_):\n"
    whole += "    text = json.dumps(attempts())\n"
    # A line of a log has its limit.
    whole += "    for n in range(0, len(text), 4000): print('RESULT ' + text[n:n + 4000] + '.')\n"
    ended = place.dx.ran(whole, interpreter="python3", access={"network": network})
    assert ended.state == "done", (ended.why, ended.log)
    said = [text for text in ended.said("STDOUT") if text.startswith("RESULT ")]
    return json.loads("".join(text[len("RESULT ") : -1] for text in said)), ended


def heard_here(place: Place) -> dict[str, list[bytes]]:
    return {name: told for name, told in place.host.heard.items() if told}


# Every way out that a program may try, with the ports of the servers that wait for it.
ATTACKS = """
def attempts():
    far, far6, near, ports = GIVEN["far"], GIVEN["far6"], GIVEN["near"], GIVEN["ports"]
    libc = ctypes.CDLL(None, use_errno=True)
    made = {}
    for host in (far, near, "127.0.0.1", "10.0.0.1", "169.254.169.254", far6, "::1", "fe80::1%lo"):
        for port in sorted(set(ports.values())):
            made["tcp %s %d" % (host, port)] = lambda h=host, p=port: tcp(h, p)
            made["udp %s %d" % (host, port)] = lambda h=host, p=port: udp(h, p)
    for name in ("granted.test", "other.test", "loop.test", "data.tunnel.granted.test"):
        made["name " + name] = lambda n=name: socket.getaddrinfo(n, 80)
    made["dns elsewhere"] = lambda: udp("8.8.8.8", 53)
    made["quic"] = lambda: udp(far, 443)
    made["icmp"] = lambda: opened(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    made["raw"] = lambda: opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    made["packet"] = lambda: opened(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made["vsock"] = lambda: opened(socket.AF_VSOCK, socket.SOCK_STREAM)
    def abstract():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect("\\0" + GIVEN["abstract"])
            return "connected"
    made["abstract socket"] = abstract
    made["multicast"] = lambda: udp("224.0.0.1", 9999)
    # As root inside, with every program that could change the network.
    made["route"] = lambda: ran("ip", "route", "add", "default", "dev", "lo")
    made["address"] = lambda: ran("ip", "addr", "add", near + "/24", "dev", "lo")
    made["rules"] = lambda: ran("nft", "flush", "ruleset")
    line = "exec 3<>/dev/tcp/%s/7070" % far
    made["new namespace"] = lambda: ran("unshare", "--net", "bash", "-c", line)
    made["forwarding"] = lambda: open("/proc/sys/net/ipv4/ip_forward", "w").write("1")
    def netlink():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
            # RTM_NEWLINK of a dummy device
            link.send(bytes.fromhex("20000000100005060000000000000000") + bytes(16))
            number = -int.from_bytes(link.recv(4096)[16:20], sys.byteorder, signed=True)
            if number:
                raise OSError(number, os.strerror(number))
            return "made"
    made["netlink"] = netlink
    # What does serve us must not serve others' ends.
    def proxy(request):
        return tcp("127.0.0.1", 3128, request.encode()).split("\\r\\n")[0]
    def api(request):
        return tcp("127.0.0.1", 8124, request.encode()).split("\\r\\n")[0]
    for host in ("granted.test", "other.test", far, near, "127.0.0.1", "localhost"):
        for port in (80, 443, 7070, ports["tcp loopback"]):
            line = "%s:%d HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % (host, port)
            made["proxy connect %s %d" % (host, port)] = lambda l=line: proxy("CONNECT " + l)
            made["api connect %s %d" % (host, port)] = lambda l=line: api("CONNECT " + l)
            url = "GET http://%s:%d/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % (host, port)
            made["proxy get %s %d" % (host, port)] = lambda u=url: proxy(u)
            made["api get %s %d" % (host, port)] = lambda u=url: api(u)
    for mirror in GIVEN["mirrors"]:
        line = "CONNECT %s:7070 HTTP/1.1\\r\\n\\r\\n" % mirror
        made["proxy connect mirror"] = lambda l=line: proxy(l)
    devices = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
    routes = open("/proc/net/route").read().splitlines()[1:]
    return {"tried": {name: tried(made[name]) for name in made}, "devices": devices,
            "routes": routes, "unix": open("/proc/net/unix").read()}
"""


def given(place: Place) -> dict[str, Any]:
    from plasmid.environments import images  # noqa: PLC0415
    from tests import stand_in  # noqa: PLC0415

    found = images.Images(place.site.home / "images", stand_in.TABLE).find("Ubuntu", "24.04", "0")
    return {
        "far": outside.FAR,
        "far6": outside.FAR6,
        "near": outside.NEAR,
        "ports": {**place.ports, "outside": 7070, "http": 80, "dns": 53},
        "abstract": f"plasmid-canary-{os.getpid()}",
        "mirrors": list(found.apt_hosts),
    }


def is_refusal(said: str) -> bool:
    """Whether an attempt came to nothing: an error, or a proxy or server that says no."""
    status = said.split(" ")[1:2] if said.startswith("HTTP/1.") else []
    return said.startswith("refused: ") or (bool(status) and status[0] in ("400", "403", "404"))


def test_a_job_without_a_grant_reaches_nothing_by_any_way(place: Place) -> None:
    before = place.outside.packets()
    told, _ = results(place, ATTACKS, [], **given(place))
    let_through = {way: said for way, said in told["tried"].items() if not is_refusal(said)}
    # The client may send its calls of the API to a proxy; so this one way leads to the API.
    assert let_through == {}
    assert len(told["tried"]) > 100
    assert told["devices"] == ["lo"]
    assert told["routes"] == []
    assert "plasmid-canary" not in told["unix"]
    assert place.outside.packets() == before
    assert heard_here(place) == {}


def test_a_grant_of_one_host_opens_that_host_and_no_way_beside_it(place: Place) -> None:
    before = len(place.outside.heard(7070))
    told, ended = results(place, ATTACKS, ["granted.test"], **given(place))
    reached = {way for way, said in told["tried"].items() if not is_refusal(said)}
    proxied = {f"proxy {verb} granted.test" for verb in ("connect", "get")}
    assert {way.rpartition(" ")[0] for way in reached if way.startswith("proxy")} <= proxied
    assert {way for way in reached if not way.startswith("proxy")} == {"name granted.test"}
    assert told["devices"] == ["lo"]
    assert heard_here(place) == {}
    assert any("may not reach other.test" in line for line in ended.said("WARNING"))
    through = place.outside.heard(7070)[before:]
    assert len(through) == len([way for way in reached if way.endswith("granted.test 7070")])


REACHES = """
def attempts():
    def whole(command):
        done = subprocess.run(command, shell=True, capture_output=True, timeout=100)
        return (done.stdout + done.stderr).decode()
    return {
        "proxies": sorted(name for name in os.environ if "proxy" in name.lower()),
        **{"%s %d" % (host, port): tried(lambda: tcp(host, port))
           for host in GIVEN["hosts"] for port in GIVEN["ports"]},
        **{"$ " + line: whole(line) for line in GIVEN["commands"]},
    }
"""


def test_programs_that_know_no_proxy_reach_a_granted_host_at_any_port(place: Place) -> None:
    hosts = ["granted.test", "other.test", outside.FAR]
    told, _ = results(place, REACHES, ["granted.test"], hosts=hosts, ports=[21, 7070], commands=[])
    assert told.pop("proxies") == []
    assert told.pop("granted.test 21") == told.pop("granted.test 7070") == BANNER
    assert all(said.startswith("refused: ") for said in told.values()), told


def test_a_grant_of_everything_opens_names_and_addresses_of_both_kinds(place: Place) -> None:
    hosts = ["granted.test", "other.test", "six.test", outside.FAR, outside.FAR6]
    commands = [
        "curl --noproxy '*' -sS -m 1 --http0.9 http://other.test:7070/",
        "curl --noproxy '*' -sS -m 1 --http0.9 http://[2001:db8:51::2]:7070/",
        "exec 3<>/dev/tcp/granted.test/9418; head -1 <&3",
    ]
    commands[2] = f"bash -c '{commands[2]}'"
    told, ended = results(place, REACHES, ["*"], hosts=hosts, ports=[21, 80], commands=commands)
    assert told.pop("proxies") == []
    assert {name: said.strip()[: len(BANNER)] for name, said in told.items()} == dict.fromkeys(
        told, BANNER
    ), ended.log


def test_no_grant_leads_home_by_address_or_by_a_name_that_changes(place: Place) -> None:
    hosts = ["loop.test", "mapped.test", "own.test", "metadata.test", outside.NEAR]
    hosts += [outside.NEAR6, "169.254.169.254", "0.0.0.0", "203.0.113.7", "100.100.100.200"]
    hosts += ["fe80::1", "::ffff:127.0.0.1", "2130706433"]
    ports = [port for name, port in place.ports.items() if name.startswith("tcp")]
    told, ended = results(place, REACHES, ["*"], hosts=hosts, ports=ports, commands=[])
    told.pop("proxies")
    assert all(said.startswith("refused: ") or not said for said in told.values()), told
    assert heard_here(place) == {}
    said = " ".join(ended.said("WARNING"))
    for reason in ("loopback address", "of this machine", "link-local", "closed by [network]"):
        assert reason in said


def test_what_is_no_tcp_is_refused_at_once_even_with_a_grant_of_everything(place: Place) -> None:
    before = len(place.outside.heard(53))
    code = """
def attempts():
    return {kind: tried(lambda: udp(host, port)) for kind, host, port in GIVEN["to"]}
"""
    to = [["quic", outside.FAR, 443], ["ntp", outside.FAR, 123], ["quic6", outside.FAR6, 443]]
    told, _ = results(place, code, ["*"], to=to)
    assert told == dict.fromkeys(("quic", "ntp", "quic6"), "refused: Connection refused")
    assert len(place.outside.heard(53)) == before


NEIGHBOUR = """
def attempts():
    import time
    abstract, listener = socket.socket(socket.AF_UNIX), socket.create_server(("0.0.0.0", 7777))
    abstract.bind("\\0neighbour")
    abstract.listen()
    print("LISTENS", flush=True)
    deadline = time.monotonic() + 200
    listener.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            listener.accept()
            return "heard someone"
        except TimeoutError:
            pass
        if subprocess.run(["dx", "ls", GIVEN["go"]], capture_output=True).returncode == 0:
            return "heard nobody"
    return "was not told to end"
"""


def test_jobs_do_not_meet(place: Place) -> None:
    go = f"{place.dx.project}:/go"
    whole = PRELUDE + f"GIVEN = json.loads({json.dumps({'go': go})!r})\n" + NEIGHBOUR
    whole += "\nimport dxpy\n@dxpy.entry_point('main')\ndef main(**_):\n    print(attempts())\n"
    applet = place.dx.applet(whole, interpreter="python3", access={"network": ["*"]})
    neighbour = place.dx.run(applet)
    next(frame for frame in place.site.frames(neighbour) if frame["msg"] == "LISTENS")
    code = """
def attempts():
    def abstract():
        with socket.socket(socket.AF_UNIX) as link:
            link.connect("\\0neighbour")
    return {host: tried(lambda: tcp(host, 7777)) for host in ("127.0.0.1", GIVEN["host"])} | {
        "abstract": tried(abstract)}
"""
    told, _ = results(place, code, ["*"], host=neighbour)
    assert all(said.startswith("refused: ") for said in told.values()), told
    place.dx.call(f"/{place.dx.project}/newFolder", {"folder": "/go", "parents": True})
    assert "heard nobody" in place.site.ended(neighbour).said("STDOUT")


REMEMBERS = """
def attempts():
    import time
    address = socket.gethostbyname("granted.test")
    print("REMEMBERS " + address, flush=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, 9418), timeout=2) as link:
                assert link.recv(100).strip() == GIVEN["banner"].encode()
        except OSError:
            pass
        if subprocess.run(["dx", "ls", GIVEN["go"]], capture_output=True).returncode == 0:
            return socket.gethostbyname("granted.test") == address
        time.sleep(0.05)
"""


def test_a_grant_holds_again_when_a_killed_workers_job_is_taken_over(place: Place) -> None:
    go = f"{place.dx.project}:/over"
    given = json.dumps({"go": go, "banner": BANNER})
    whole = PRELUDE + f"GIVEN = json.loads({given!r})\n" + REMEMBERS
    whole += "\nimport dxpy\n@dxpy.entry_point('main')\ndef main(**_):\n    print(attempts())\n"
    applet = place.dx.applet(whole, interpreter="python3", access={"network": ["granted.test"]})
    job = place.dx.run(applet)
    next(frame for frame in place.site.frames(job) if frame["msg"].startswith("REMEMBERS"))
    (worker,) = until(place.site.worker_pids)
    os.kill(worker, signal.SIGKILL)
    until(lambda: place.site.worker_pids() not in ([], [worker]))
    count = len(place.outside.heard(9418))
    until(lambda: len(place.outside.heard(9418)) > count + 1)
    place.dx.call(f"/{place.dx.project}/newFolder", {"folder": "/over", "parents": True})
    ended = place.site.ended(job)
    assert ended.state == "done", ended.why
    assert "True" in ended.said("STDOUT")


def test_packages_are_installed_while_a_job_without_a_grant_runs(place: Place) -> None:
    code = "apt-get update -qq && apt-get install -qq --no-install-recommends hello && hello"
    ended = place.dx.ran(code)
    assert ended.state == "done", (ended.why, ended.log[-5:])
    assert "Hello, world!" in ended.said("STDOUT")


def test_sockets_that_no_namespace_holds_cannot_be_had(place: Place) -> None:
    code = """
def attempts():
    return [tried(lambda: opened(family, socket.SOCK_STREAM)) for family in GIVEN["families"]]
"""
    told, _ = results(place, code, ["*"], families=[socket.AF_VSOCK])
    assert told == ["refused: Address family not supported by protocol"]
