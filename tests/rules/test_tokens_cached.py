"""Verified tokens are cached until they expire, are revoked, or lose their key."""

import gc
import time
from pathlib import Path

import pytest

from secaplane.model.errors import Unauthenticated
from secaplane.model.events import AnyEvent, Created, DeletionRequested, Updated
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref, Resource
from secaplane.policy.tokens import caller
from secaplane.policy.tokens.caller import SKEW_S, Caller, TokenVerifier
from secaplane.policy.tokens.fetch import read_file
from secaplane.policy.tokens.issuer import Issuer
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations
from tests.positions import nth
from tests.rules.tokens import (
    EC,
    EC_OTHER,
    ISSUER,
    JANE,
    Clock,
    asked,
    jwks,
    refused,
    signed,
    verifier,
)
from tests.scenario import history


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return jwks(tmp_path / "jwks.json", ec=EC)


@pytest.fixture
def issuer(file: Path) -> Issuer:
    return Issuer(any_audience=True, issuer=ISSUER, keys=str(file))


async def test_a_token_is_accepted_until_it_expires(issuer: Issuer) -> None:
    clock = Clock()
    tokens = verifier(issuer, clock=clock)
    token = signed(exp=int(clock.now) + 2)
    assert await asked(tokens, token) == JANE
    clock.now += SKEW_S
    assert await asked(tokens, token) == JANE
    clock.now += 3
    assert "expired" in await refused(tokens, f"Bearer {token}")


async def test_a_key_that_was_removed_verifies_no_token(issuer: Issuer, file: Path) -> None:
    keys = IssuerKeys(issuer, wait_s=0)
    tokens, token = TokenVerifier([keys], Revocations()), signed()
    assert await asked(tokens, token) == JANE
    jwks(file, next=EC_OTHER)
    await refresh(keys, file)
    await refused(tokens, f"Bearer {token}")
    assert await asked(tokens, signed(EC_OTHER, "next")) == JANE
    jwks(file, ec=EC_OTHER)  # another key under the name that it had
    await refresh(keys, file)
    await refused(tokens, f"Bearer {token}")


@pytest.mark.parametrize(
    "invalid", ["", "{", "[]", '{"keys": 1}', '{"keys": []}', '{"keys": [{}]}']
)
async def test_an_invalid_file_leaves_the_keys_as_they_were(issuer: Issuer, invalid: str) -> None:
    async def fetch() -> bytes:
        return invalid.encode()

    keys = IssuerKeys(issuer, wait_s=0)
    tokens = TokenVerifier([keys], Revocations())
    await keys.refresh(fetch)
    await refused(tokens, f"Bearer {signed(kid='next')}")
    assert await asked(tokens, signed()) == JANE


@pytest.mark.parametrize("invalid", ["", "{", "[]", '{"keys": 1}', '{"keys": []}'])
def test_an_invalid_file_at_the_start_is_an_error(issuer: Issuer, file: Path, invalid: str) -> None:
    file.write_text(invalid)
    with pytest.raises(ValueError, match=r"\w"):
        verifier(issuer)


async def refresh(keys: IssuerKeys, file: Path) -> None:
    async def fetch() -> bytes:
        return read_file(file)

    await keys.refresh(fetch)


async def test_no_token_stays_in_memory(issuer: Issuer) -> None:
    tokens, token = verifier(issuer), signed()
    assert await tokens.caller(f"Bearer {token}") == JANE
    signature = token.rpartition(".")[2]
    del token
    gc.collect()
    assert not any(
        signature in each if isinstance(each, str) else signature.encode() in each
        for each in reachable(tokens)
        if isinstance(each, str | bytes)
    )


def reachable(root: object) -> list[object]:
    seen, found, more = set[int](), list[object](), [root]
    while more:
        each = more.pop()
        if id(each) not in seen and not isinstance(each, type):
            seen.add(id(each))
            found.append(each)
            if isinstance(
                each, TokenVerifier | dict | tuple | list | set | frozenset | IssuerKeys | Caller
            ):
                more += gc.get_referents(each)
            elif hasattr(each, "__struct_fields__"):
                more += [getattr(each, name) for name in each.__struct_fields__]
    return found


async def test_the_cache_of_tokens_is_bounded(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "CACHED_MAX", 3)
    tokens = verifier(issuer)
    for n in range(5):
        await asked(tokens, signed(jti=f"t-{n}"))
    assert len(tokens._cached) == 3


# --- shared secrets


async def test_a_shared_secret_verifies_tokens_where_it_is_configured(tmp_path: Path) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    (tmp_path / "secret").write_bytes(secret + b"\n")
    tokens = verifier(
        Issuer(
            any_audience=True, issuer=ISSUER, algorithms=("HS256",), secret=str(tmp_path / "secret")
        )
    )
    for kid in (None, "whatever"):
        assert await asked(tokens, signed(secret, kid, "HS256")) == JANE
        await refused(tokens, f"Bearer {signed(secret[::-1], kid, 'HS256')}")
        await refused(tokens, f"Bearer {signed(secret * 2, kid, 'HS512')}")
    await refused(tokens, f"Bearer {signed()}")


# --- revocations


def revocation(name: str, *specs: Json, gone: bool = False) -> Resource:
    first, *others = specs
    events: list[AnyEvent] = [Created(spec=first), *(Updated(spec=spec) for spec in others)]
    events += [DeletionRequested()] if gone else []
    found = fold(history(Ref("revocation", f"revocations/{name}"), *events))
    assert found is not None
    return found


class Revoking:
    """A token of Jane, issued at 10:00, and the revocations."""

    def __init__(self, issuer: Issuer) -> None:
        self.revocations = Revocations()
        self.tokens = verifier(issuer, revocations=self.revocations)
        self.token = signed(iat=1767261600)
        """2026-01-01T10:00:00Z"""

    def update(self, *resources: Resource, undecodable: tuple[Ref, ...] = ()) -> None:
        self.revocations.update(resources, BEGINNING, undecodable=undecodable)

    async def accepted(self) -> bool:
        try:
            return await asked(self.tokens, self.token) == JANE
        except Unauthenticated as error:
            return "revoked" not in error.detail


@pytest.fixture
def revoking(issuer: Issuer) -> Revoking:
    return Revoking(issuer)


def before(moment: str, sub: str = "jane") -> Json:
    return {"sub": sub, "issuedBefore": moment}


@pytest.mark.parametrize(
    ("spec", "accepted"),
    [
        ({"jti": "t-1"}, False),
        ({"jti": "t-2"}, True),
        (before("2026-01-01T10:00:01Z"), False),
        (before("2026-01-01T10:00:00.001Z"), False),
        (before("2026-01-01T11:30:00+01:00"), False),
        (before("2026-01-01T10:00:00Z"), True),
        (before("2026-01-01T10:30:00+01:00"), True),
        (before("9999-01-01T00:00:00Z", "john"), True),
        (before("9999-01-01T00:00:00Z", "JANE"), True),
    ],
    ids=str,
)
async def test_a_revocation_covers_one_token_or_those_issued_before_a_time(
    revoking: Revoking, spec: Json, accepted: bool
) -> None:
    for _ in range(2):  # cached, and not cached
        assert await revoking.accepted()
        revoking.update(revocation("one", spec))
        assert await revoking.accepted() is accepted
        revoking.update(revocation("one", spec, gone=True))
        assert await revoking.accepted()
        revoking.tokens._cached.clear()


async def test_a_token_without_a_time_of_issue_was_issued_before_every_other(
    revoking: Revoking,
) -> None:
    revoking.token = signed()
    assert await revoking.accepted()
    revoking.update(revocation("one", before("1970-01-01T00:00:01Z")))
    assert not await revoking.accepted()


async def test_a_token_from_the_future_does_not_outlast_a_revocation_of_its_sub(
    revoking: Revoking,
) -> None:
    for ahead, accepted in ((SKEW_S - 10, True), (SKEW_S + 10, False), (10**9, False)):
        revoking.token = signed(iat=int(time.time()) + ahead)
        assert await revoking.accepted()
        revoking.update(revocation("one", before("2026-01-01T10:00:00Z")))
        assert await revoking.accepted() is accepted
        revoking.update(revocation("one", before("2026-01-01T10:00:00Z"), gone=True))


async def test_a_revoked_sub_includes_its_issuers_prefix(file: Path) -> None:
    revocations = Revocations()
    issuer = Issuer(any_audience=True, issuer=ISSUER, keys=str(file), prefix="id|")
    tokens = verifier(issuer, revocations=revocations)
    for sub, accepted in (("jane", True), ("id|jane", False)):
        spec = before("9999-01-01T00:00:00Z", sub)
        revocations.update([revocation("one", spec)], BEGINNING)
        if accepted:
            assert await asked(tokens, signed(iat=int(time.time())))
        else:
            await refused(tokens, f"Bearer {signed(iat=int(time.time()))}")


async def test_two_revocations_are_independent(revoking: Revoking) -> None:
    early, late = before("2026-01-01T09:00:00Z"), before("2026-01-01T11:00:00Z")
    revoking.update(revocation("late", late), revocation("early", early))
    assert not await revoking.accepted()
    revoking.update(revocation("late", late, gone=True))
    assert await revoking.accepted()
    revoking.update(revocation("a", {"jti": "t-1"}), revocation("b", {"jti": "t-1"}))
    revoking.update(revocation("a", {"jti": "t-1"}, gone=True))
    assert not await revoking.accepted()


async def test_a_changed_revocation_replaces_the_former_one(revoking: Revoking) -> None:
    revoking.update(revocation("one", {"jti": "t-1"}))
    revoking.update(revocation("one", {"jti": "t-1"}, {"jti": "t-2"}))
    assert await revoking.accepted()


async def test_a_revocation_that_becomes_undecodable_stays_in_force(revoking: Revoking) -> None:
    one = revocation("one", {"jti": "t-1"})
    revoking.update(one)
    revoking.update(undecodable=(one.ref,))
    assert not await revoking.accepted()


async def test_a_late_update_of_an_older_revision_is_ignored(revoking: Revoking) -> None:
    one = revocation("one", {"jti": "t-1"})
    revoking.revocations.update([one], nth(9))
    revoking.revocations.update([revocation("one", {"jti": "t-1"}, gone=True)], nth(8))
    assert not await revoking.accepted()
