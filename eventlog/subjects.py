"""The subject of a ref, and back. Pure. The format is fixed: stored events keep it for ever.

    seca.<region, or global>.<slot>.<path, slashes as dots>.<kind>

The slot is two hex digits of a hash of the tenant: streams and reconcilers can divide the slots
among them. A workspace and everything that it contains share the prefix of its path.
"""

import hashlib
import re
from functools import lru_cache

from secaplane.kinds import KINDS
from secaplane.model.shape import Ref

ROOT = "seca"
GLOBAL = "global"
TENANTLESS = "00"
ALL_SUBJECTS = f"{ROOT}.>"
_UNSAFE = re.compile(r"[^A-Za-z0-9-]")
_ESCAPED = re.compile(r"(?:=[0-9A-F]{2})+")


@lru_cache(maxsize=8192)
def subject(ref: Ref, region: str) -> str:
    return f"{_stem(ref, region)}.{ref.kind}"


def prefix(ref: Ref, region: str) -> str:
    """A filter for a resource and everything that it contains."""
    return f"{_stem(ref, region)}.>"


def within_tenant(name: str) -> str:
    """A filter for a tenant and everything in it, in every region."""
    return f"{ROOT}.*.{slot(name)}.tenants.{escaped(name)}.>"


def every(kind: str, region: str) -> str:
    """A filter for all resources of one kind, in every tenant."""
    row = KINDS[kind]
    steps = ["*" if step.startswith("{") else escaped(step) for step in row.collection.split("/")]
    return ".".join([ROOT, _place(row.name, region), "*", *steps, "*", kind])


def ref(subject: str) -> Ref:
    """The ref of a subject.

    Raises:
        ValueError: not a subject of this log.
    """
    root, _region, _slot, *steps, kind = subject.split(".")
    if root != ROOT or not steps:
        raise ValueError(f"{subject} is not a subject of the log")
    return Ref(kind, "/".join(_ESCAPED.sub(_characters, step) for step in steps))


def slot(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()[:2] if tenant else TENANTLESS


def _stem(ref: Ref, region: str) -> str:
    path = ".".join(escaped(step) for step in ref.path.split("/"))
    return f"{ROOT}.{_place(ref.kind, region)}.{slot(ref.scope('tenants'))}.{path}"


def _place(kind: str, region: str) -> str:
    return escaped(region) if KINDS[kind].provider.regional else GLOBAL


def escaped(step: str) -> str:
    return _UNSAFE.sub(lambda match: "".join(f"={b:02X}" for b in match[0].encode()), step)


def _characters(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("=", "")).decode()
