"""Addresses in the log: a ref as a subject, and back. Pure; fixed for ever, for history is.

    seca.<region, or global>.<slot>.<path, slashes as dots>.<kind>

The slot is two hex digits of a hash of the tenant, so that streams and reconcilers can be given
slots. Whatever lies in a workspace, itself too, lies under the prefix its path spells.
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
    """A filter for everything that lies in this resource, itself included."""
    return f"{_stem(ref, region)}.>"


def every(kind: str, region: str) -> str:
    """A filter for all resources of one kind, in every tenant."""
    row = KINDS[kind]
    steps = ["*" if step.startswith("{") else escaped(step) for step in row.collection.split("/")]
    return ".".join([ROOT, _place(row.name, region), "*", *steps, "*", kind])


def ref(subject: str) -> Ref:
    """The ref a subject was made from.

    Raises:
        ValueError: it is no subject of this log.
    """
    root, _region, _slot, *steps, kind = subject.split(".")
    if root != ROOT or not steps:
        raise ValueError(f"{subject} is not an address in the log")
    return Ref(kind, "/".join(_ESCAPED.sub(_characters, step) for step in steps))


def slot(tenant: str) -> str:
    return hashlib.sha256(tenant.encode()).hexdigest()[:2] if tenant else TENANTLESS


def _stem(ref: Ref, region: str) -> str:
    path = ".".join(escaped(step) for step in ref.path.split("/"))
    return f"{ROOT}.{_place(ref.kind, region)}.{slot(ref.scope('tenants'))}.{path}"


def _place(kind: str, region: str) -> str:
    return escaped(region) if KINDS[kind].provider.regional else GLOBAL


def escaped(step: str) -> str:
    return _UNSAFE.sub(lambda found: "".join(f"={b:02X}" for b in found[0].encode()), step)


def _characters(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("=", "")).decode()
