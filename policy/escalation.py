"""A caller can only give away what the caller holds (CONTRACT: Who may). Pure.

A role is judged as if it were given everywhere in its tenant, so that it does not matter which of a
role and its assignment is written first, or both at once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from model.shape import Json, Ref
from policy.grants import EVERY, Rule, places, role_rules
from policy.system_roles import ALL, SYSTEM_ROLES

NOBODY = ""


def too_much(
    held: Iterable[Rule], ref: Ref, roles: Mapping[str, Json], old: Json | None, new: Json
) -> str:
    """The first thing that a role or an assignment gives away, beside what it gave before, and that
    none of the held rules covers; empty where there is none. To new subs, all of it is new. `roles`
    are the tenant's own."""
    by_provider: dict[str, list[Rule]] = {}
    for rule in held:
        by_provider.setdefault(rule.provider, []).append(rule)
    known = old if old and set(new.get("subs", ())) <= set(old.get("subs", ())) else None
    given_before = set(_given(ref, roles, known)) if known else set()
    for rule in _given(ref, roles, new):
        if rule not in given_before and not _held(by_provider.get(rule.provider, ()), rule):
            where = rule.workspace if rule.workspace != EVERY else "every workspace"
            return f"{rule.verb} on {rule.provider} {rule.resource} in {where}"
    return ""


def _given(ref: Ref, roles: Mapping[str, Json], spec: Json) -> Iterator[Rule]:
    """Verb by verb, so that who holds each of them holds all of them."""
    tenant = ref.scope("tenants")
    if ref.kind == "role":
        yield from _by_verb(role_rules(spec, (tenant, EVERY, EVERY), NOBODY))
        return
    for scope in spec["scopes"]:
        for place in places(tenant, scope):
            for name in spec["roles"]:
                role = SYSTEM_ROLES.get(name) or roles.get(name)
                if role is not None:
                    yield from _by_verb(role_rules(role, place, NOBODY))


def _by_verb(rules: Iterable[Rule]) -> Iterator[Rule]:
    for rule in rules:
        verbs = ALL if rule.verb == EVERY else (rule.verb,)
        yield from (msgspec.structs.replace(rule, verb=verb) for verb in verbs)


def _held(held: Sequence[Rule], given: Rule) -> bool:
    return any(_covers(rule, given) for rule in held)


def _covers(held: Rule, given: Rule) -> bool:
    return (
        (held.verb in (EVERY, given.verb) or given.verb.startswith(f"{held.verb}."))
        and held.tenant in (EVERY, given.tenant)
        and held.region in (EVERY, given.region)
        and held.workspace in (EVERY, given.workspace)
        and _pattern_covers(held.resource, given.resource)
    )


def _pattern_covers(held: str, given: str) -> bool:
    """Everything that the given pattern covers, the held one covers, too: as a nested path, or as a
    flat one. A plain collection counts as part of all that is in it."""
    if EVERY in (held, given):
        return held == EVERY
    if held == given:
        return True
    if not held.endswith("/*"):
        return False
    stem = held[:-2]
    steps = given.removesuffix("/*").split("/")
    flat = "/".join(steps[-1:] if len(steps) % 2 else steps[-2:])
    nested = "/".join(steps)
    return any(path == stem or path.startswith(f"{stem}/") for path in (flat, nested))
