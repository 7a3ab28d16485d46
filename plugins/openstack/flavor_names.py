"""Flavor names of the Sovereign Cloud Stack (scs-0100-v3). Pure.

    SCS-<CPUs><C|T|V|L>[i]-<GiB>[u][o][-[<n>x][<GB>][n|h|s|p]][_<extensions>]

`C` is a dedicated core, `T` a dedicated thread, `V` a shared core, `L` a crowded one; `i` has
insufficient mitigations of its processor, `u` memory without ECC, `o` oversubscribed memory.
A flavor may have more than its name says, never less.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

PREFIX = "SCS-"
CPU_TYPES = {
    "C": "dedicated-core",
    "T": "dedicated-thread",
    "V": "shared-core",
    "L": "crowded-core",
}
"""By letter: the value of `scs:cpu-type`, from the best to the least."""
DISK_TYPES = {"p": "nvme", "s": "ssd", "h": "hdd", "n": "network"}
"""By letter: the value of `scs:disk0-type`."""
ARCHITECTURES = {"": "amd64", "i": "amd64", "z": "amd64", "a": "arm64"}
"""By letter of the vendor: the architecture in SECA; RISC-V (`r`) has none."""
_RANK = [*CPU_TYPES.values()]


class FlavorName(msgspec.Struct, frozen=True, kw_only=True):
    """The promises that a name makes."""

    cpus: int
    cpu: str
    """A letter of CPU_TYPES."""
    insecure: bool = False
    gib: float
    without_ecc: bool = False
    oversubscribed: bool = False
    disks: int = 0
    """0: an instance starts from a volume."""
    disk_gb: int | None = None
    """None: the cloud chooses it."""
    disk_type: str = ""
    extensions: Mapping[str, str] = {}
    """By EXTENSIONS' names, in their order: the text of each that is there."""

    @property
    def architecture(self) -> str:
        """amd64, arm64, or nothing that SECA knows."""
        return ARCHITECTURES.get(self.extensions.get("arch", "")[:1], "")

    @property
    def written(self) -> str:
        """The name."""
        cpu = f"{self.cpus}{self.cpu}{'i' if self.insecure else ''}"
        flags = f"{'u' if self.without_ecc else ''}{'o' if self.oversubscribed else ''}"
        disk = ""
        if self.disks:
            count = f"{self.disks}x" if self.disks > 1 else ""
            size = "" if self.disk_gb is None else str(self.disk_gb)
            disk = f"-{count}{size}{self.disk_type}"
        more = "".join(f"_{text}" for text in self.extensions.values())
        return f"{PREFIX}{cpu}-{self.gib:g}{flags}{disk}{more}"


class WrongName(ValueError):
    """A name with the prefix that does not follow the standard; one line."""


class _Part(NamedTuple):
    pattern: re.Pattern[str]
    expected: str


_CPU = _Part(re.compile(r"([1-9][0-9]*)([CTVL])(i?)"), "a number of CPUs, then C, T, V or L")
_MEMORY = _Part(re.compile(r"-([0-9]+(?:\.5)?)(u?)(o?)"), "- and GiB of memory, in halves")
_DISK = re.compile(r"-(?:(?:([1-9][0-9]*)x)?([1-9][0-9]*))?([nhsp]?)(?=_|$)")
EXTENSIONS = {
    "hypervisor": re.compile(r"_(kvm|xen|vmw|hyv|bms)(?=_|$)"),
    "nested": re.compile(r"_(hwv)(?=_|$)"),
    "arch": re.compile(r"_([izar][0-9]?h{0,3})(?=_|$)"),
    "gpu": re.compile(r"_([Gg][NAI](?:[a-z]|[0-9](?:\.[0-9])?)?(?:-[1-9][0-9]*)?h*)(?=_|$)"),
    "infiniband": re.compile(r"_(ib)(?=_|$)"),
}
"""In the order in which they are written."""


def parse(name: str) -> FlavorName:
    """The promises of a name.

    Raises:
        WrongName: it does not follow the standard.
    """
    if not name.startswith(PREFIX):
        raise WrongName(f"{name}: a name of a flavor begins with {PREFIX}")
    at = len(PREFIX)
    cpu = _matched(name, at, _CPU)
    memory = _matched(name, cpu.end(), _MEMORY)
    if float(memory[1]) == 0:
        raise WrongName(f"{name}: a flavor has memory")
    disk = _DISK.match(name, memory.end())
    extensions, at = dict[str, str](), (disk or memory).end()
    for kind, pattern in EXTENSIONS.items():
        if found := pattern.match(name, at):
            extensions[kind], at = found[1], found.end()
    if at < len(name):
        raise WrongName(f"{name}: {name[at:]!r} is no part of a name, or not in its place")
    return FlavorName(
        cpus=int(cpu[1]),
        cpu=cpu[2],
        insecure=bool(cpu[3]),
        gib=float(memory[1]),
        without_ecc=bool(memory[2]),
        oversubscribed=bool(memory[3]),
        disks=int(disk[1] or 1) if disk else 0,
        disk_gb=int(disk[2]) if disk and disk[2] else None,
        disk_type=disk[3] if disk else "",
        extensions=extensions,
    )


def _matched(name: str, at: int, part: _Part) -> re.Match[str]:
    found = part.pattern.match(name, at)
    if found is None:
        raise WrongName(f"{name}: after {name[:at]!r} comes {part.expected}")
    return found


def broken_promises(
    name: FlavorName, *, cpus: int, ram_mib: int, disk_gb: int, extra: Mapping[str, str]
) -> Iterator[str]:
    """The promises of a name that a flavor does not keep; `extra` are its extra specs."""
    if cpus < name.cpus:
        yield f"it has {cpus} CPUs of {name.cpus}"
    if ram_mib < name.gib * 1024:
        yield f"it has {ram_mib} MiB of {name.gib * 1024:g}"
    if name.disk_gb is not None and disk_gb < name.disk_gb * name.disks:
        yield f"it has {disk_gb} GB of disk of {name.disk_gb * name.disks}"
    said = extra.get("scs:cpu-type", CPU_TYPES[name.cpu])
    if said not in _RANK or _RANK.index(said) > _RANK.index(CPU_TYPES[name.cpu]):
        yield f"its CPUs are {said}, not {CPU_TYPES[name.cpu]}"
    disk = DISK_TYPES.get(name.disk_type)
    if disk is not None and extra.get("scs:disk0-type", disk) != disk:
        yield f"its disk is {extra['scs:disk0-type']}, not {disk}"
