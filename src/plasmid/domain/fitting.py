"""Whether an instance type fits on a machine, and what a job gets where it does not.

A job gets what its instance type has, or it is refused: it never gets less unasked. Two things run
on a machine that is smaller than they would like, and say so: jobs of a site whose configuration
allows it (`[jobs] fit`), and jobs that asked for nothing: the default type is the largest of its
family that the machine can hold. Accelerators cannot be made up for: without them there is no run.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.domain import errors, instance_types
from plasmid.domain.instance_types import GB, GIB, InstanceType
from plasmid.domain.placement import Machine

_REMEDY: Final = (
    "ask for a smaller instance type (dx run --instance-type), or let jobs run with what this "
    "machine has (plasmid serve --fit, or fit = true below [jobs] in plasmid.toml)"
)
_NO_GPU: Final = (
    "install the vendor's container toolkit, describe the cards in /etc/cdi (for NVIDIA's: "
    "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml), and start the server again"
)


def is_larger(wanted: InstanceType, machine: Machine) -> bool:
    """Say whether an instance type has more cores, memory or disk than a machine can give."""
    return fitted(wanted, machine) != wanted


def fitted(wanted: InstanceType, machine: Machine) -> InstanceType:
    """Return an instance type with no more than the machine has; 0 there means unlimited."""
    return msgspec.structs.replace(
        wanted,
        cores=min(wanted.cores, machine.cores or wanted.cores),
        memory_bytes=min(wanted.memory_bytes, machine.memory_bytes or wanted.memory_bytes),
        disk_bytes=min(wanted.disk_bytes, machine.disk_bytes or wanted.disk_bytes),
    )


def shown(wanted: InstanceType, machine: Machine) -> dict[str, Any] | None:
    """Return what a job has of an instance type here, as its describe shows it; None if all."""
    if not is_larger(wanted, machine):
        return None
    less = fitted(wanted, machine)
    return {
        "cores": less.cores,
        "memoryBytes": less.memory_bytes,
        "diskBytes": less.disk_bytes,
    }


def check(wanted: InstanceType, machine: Machine, *, may_shrink: bool) -> None:
    """Raise InvalidInput unless jobs of this type can run here.

    `may_shrink`: with less cores, memory and disk will do.
    """
    if wanted.fpgas:
        raise errors.InvalidInput(
            f"Instance type {wanted.name} has FPGAs, which no machine of this platform has: use an "
            "instance type without"
        )
    if wanted.gpus > len(machine.gpus):
        raise errors.InvalidInput(
            f"Instance type {wanted.name} has {_counted(wanted.gpus, 'GPU')} and this machine has "
            f"{len(machine.gpus) or 'none'} described for containers (CDI, the Container Device "
            f"Interface): {_NO_GPU}"
        )
    if not may_shrink and is_larger(wanted, machine):
        raise errors.InvalidInput(
            f"Instance type {wanted.name} has {_figures(wanted)}, and this machine gives a job at "
            f"most {_figures(fitted(_huge(machine), machine))}: {_REMEDY}"
        )


def default(release: str | None, machine: Machine) -> str:
    """Return what a job gets that asks for nothing: the usual type, or one that is less.

    That is the largest of its family with cores and memory that the machine has; the smallest if
    there is none. Disk does not decide: it is the same family's on every size.
    """
    usual = instance_types.get(instance_types.default_for(release))
    prefix = usual.name.rpartition("_x")[0]
    family = [
        member
        for name, member in instance_types.ALL.items()
        if name.rpartition("_x")[0] == prefix and member.cores <= usual.cores
    ]
    for member in sorted(family, key=lambda member: -member.cores):
        least = fitted(member, machine)
        if (least.cores, least.memory_bytes) == (member.cores, member.memory_bytes):
            return member.name
    return min(family, key=lambda member: member.cores).name


def notes(wanted: InstanceType, machine: Machine, *, usual: str = "") -> list[str]:
    """Return the lines that tell a job what it gets less than it might think.

    `usual` is the default type, for a job that asked for none.
    """
    found = []
    if usual and wanted.name != usual:
        found.append(f"The usual {usual} is larger than this machine: this is a {wanted.name}")
    if is_larger(wanted, machine):
        found.append(
            f"Instance type {wanted.name} has {_figures(wanted)}; this machine is smaller, so the "
            f"job runs with {_figures(fitted(wanted, machine))}"
        )
    return found


def _huge(machine: Machine) -> InstanceType:
    return InstanceType("", machine.cores or 1 << 20, machine.memory_bytes, machine.disk_bytes)


def _figures(of: InstanceType) -> str:
    memory = f"{of.memory_bytes / GIB:.4g} GiB of memory"
    return f"{_counted(of.cores, 'core')}, {memory} and {of.disk_bytes // GB} GB of disk"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
