"""A sandbox as an OCI runtime configuration; a pure function, tested as data.

Source: OCI runtime specification 1.0.2 (config.json).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from plasmid.engines import engine

ID_FIRST: Final = 300000
ID_COUNT: Final = 65536

# What root may do inside its own user namespace: own files of any id, switch users (sudo, su, apt's
# own user), chroot. Nothing that reaches the kernel as a whole.
CAPABILITIES: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_SETFCAP",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
)

# What docker and FUSE in a job need on top (SandboxSpec.runs_containers): mounting, and namespaces
# in namespaces. It counts in the sandbox's own only: its root is nobody of the host still. It can
# lay bare there what is masked below, which is then guarded by its owner, the host's root.
CONTAINER_CAPABILITIES: Final = ("CAP_SYS_ADMIN",)

NAMESPACES: Final = ("user", "pid", "mount", "uts", "ipc", "network", "cgroup")

# The lists of Docker and podman.
MASKED_PATHS: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/dev/block",
)
READ_ONLY_PATHS: Final = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

# Calls that no job needs and that kernel exploits like best. A deny list: it costs 0.3 ms where an
# allow list of Docker's size costs 5 ms a sandbox, and the user namespace already takes away what
# the rest of such a list is about.
DENIED_CALLS: Final = (
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "open_by_handle_at",
    "perf_event_open",
    "request_key",
    "userfaultfd",
)
# AF_BLUETOOTH, AF_NFC, AF_VSOCK, AF_QIPCRTR: what no network namespace holds.
ESCAPING_FAMILIES: Final = (31, 39, 40, 42)
_EPERM: Final = 1
_ENOSYS: Final = 38
_EAFNOSUPPORT: Final = 97
_IS: Final = "SCMP_CMP_EQ"
_CLONE_NEWUSER: Final = 0x10000000

# A call of an architecture that is not named kills its caller, so 32-bit programs need theirs.
ARCHITECTURES: Final = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}


def config(
    spec: engine.SandboxSpec,
    *,
    root: Path,
    cgroups: dict[str, str],
    host_devices: tuple[str, ...] = (),
    machine: str = "x86_64",
    oom_score: int = 500,
) -> dict[str, Any]:
    """Return config.json for a sandbox.

    `cgroups` are the sandbox's own groups, read-only inside (what reads its memory limit there
    finds it): path inside to path outside. `machine` is as uname tells it. `oom_score` is what the
    kernel adds when the machine as a whole runs out of memory: jobs go before the platform.
    """
    held = (*CAPABILITIES, *(CONTAINER_CAPABILITIES if spec.runs_containers else ()))
    capabilities = {kind: list(held) for kind in ("bounding", "effective", "permitted")}
    mapping = [{"containerID": 0, "hostID": ID_FIRST, "size": ID_COUNT}]
    return {
        "ociVersion": "1.0.2",
        "hostname": spec.hostname,
        "root": {"path": str(root), "readonly": False},
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(spec.command),
            "env": [f"{name}={value}" for name, value in spec.environment.items()],
            "cwd": spec.working_directory,
            "capabilities": capabilities,
            "noNewPrivileges": False,
            "oomScoreAdj": oom_score,
        },
        "mounts": [
            *_system_mounts(spec.memory_bytes),
            *_cgroup_mounts(cgroups),
            *(_bind(device, device, read_only=False) for device in host_devices),
            *(_bind(m.source, m.target, read_only=m.read_only) for m in spec.mounts),
        ],
        "linux": {
            "namespaces": [{"type": name} for name in NAMESPACES],
            "uidMappings": mapping,
            "gidMappings": mapping,
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READ_ONLY_PATHS),
            "seccomp": _seccomp(machine, runs_containers=spec.runs_containers),
        },
    }


def _seccomp(machine: str, *, runs_containers: bool) -> dict[str, Any]:
    # ENOSYS where programs fall back on an older call, EPERM elsewhere.
    absent = [name for name in DENIED_CALLS if name.startswith("io_uring_")]
    refused = [name for name in DENIED_CALLS if name not in absent]
    calls: list[dict[str, Any]] = [
        {"names": absent, "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
        {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM},
        *_without_escaping_sockets(),
    ]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": list(ARCHITECTURES.get(machine, ())),
        "syscalls": calls if runs_containers else calls + _without_user_namespaces(),
    }


def _without_user_namespaces() -> list[dict[str, Any]]:
    """Return the rules that keep a job from making itself root of another user namespace.

    There it would hold every capability again, which is most of what kernel exploits begin with.
    clone3 has its flags in memory, where no filter sees them: programs fall back on clone.
    """
    flag = {"index": 0, "value": _CLONE_NEWUSER, "valueTwo": _CLONE_NEWUSER}
    wanted = [{**flag, "op": "SCMP_CMP_MASKED_EQ"}]
    refusal = {"action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, "args": wanted}
    return [
        {"names": ["clone", "unshare"], **refusal},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]


def _without_escaping_sockets() -> list[dict[str, Any]]:
    """Return the rules against sockets that lead past the network namespace, to a hypervisor.

    32-bit programs may name the family in memory, where no filter sees it: that way is closed.
    """
    refusal = {"action": "SCMP_ACT_ERRNO", "errnoRet": _EAFNOSUPPORT}
    families = [
        {"names": ["socket"], **refusal, "args": [{"index": 0, "value": family, "op": _IS}]}
        for family in ESCAPING_FAMILIES
    ]
    return [*families, {"names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}]


def _mount(target: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


def _bind(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if read_only else "rw"]
    return {"destination": target, "type": "bind", "source": source, "options": options}


def _system_mounts(memory_bytes: int) -> list[dict[str, Any]]:
    # /dev/shm is as large as on a real machine: half the memory, of which it is a part.
    shared = f"size={memory_bytes // 2}"
    return [
        _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777", shared),  # noqa: S108
        _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    ]


def _cgroup_mounts(cgroups: dict[str, str]) -> list[dict[str, Any]]:
    mounts = []
    if any(target != "/sys/fs/cgroup" for target in cgroups):
        options = ("nosuid", "noexec", "nodev", "mode=755", "size=64k")
        mounts.append(_mount("/sys/fs/cgroup", "tmpfs", *options))
    mounts += [_bind(source, target, read_only=True) for target, source in cgroups.items()]
    return mounts
