"""The Authorization header: what is accepted around a token, and what its refusal says."""

from pathlib import Path

import pytest

from secaplane.policy.tokens.caller import TOKEN_BYTES_MAX, TokenVerifier
from secaplane.policy.tokens.issuer import Issuer
from tests.rules.tokens import EC, ISSUER, JANE, In, jwks, refused, signed, verifier


@pytest.fixture
def tokens(tmp_path: Path) -> TokenVerifier:
    keys = str(jwks(tmp_path / "jwks.json", ec=EC))
    return verifier(Issuer(issuer=ISSUER, keys=keys, any_audience=True))


@pytest.mark.parametrize("blanks", [1, 2, 7])
async def test_blanks_may_surround_a_token(tokens: TokenVerifier, blanks: int) -> None:
    """RFC 6750, section 2.1: `Bearer`, one or more blanks, the token."""
    assert await tokens.caller(f"Bearer{' ' * blanks}{signed()}") == JANE


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "send a token"),
        ("", "scheme is not Bearer"),
        (f"Basic {signed()}", "scheme is not Bearer"),
        (signed(), "scheme is not Bearer"),
        ("Bearer", "the token is empty"),
        ("Bearer   ", "the token is empty"),
        ("Bearer x", "malformed"),
        (f"Bearer {signed()} {signed()}", "malformed"),
        (f"Bearer {signed(note='x' * TOKEN_BYTES_MAX)}", "too large"),
        (f"Bearer {signed(exp=1)}", "expired"),
        (f"Bearer {signed(nbf=In(3600))}", "not yet valid"),
        (f"Bearer {signed(iss='https://elsewhere.example.org')}", "issuer is not trusted"),
        (f"Bearer {signed(kid='another')}", "unknown key"),
    ],
)
async def test_a_refusal_says_what_is_wrong(
    tokens: TokenVerifier, authorization: str | None, reason: str
) -> None:
    assert reason in await refused(tokens, authorization)
