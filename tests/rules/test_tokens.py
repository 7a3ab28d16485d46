"""Verification of tokens: which are accepted, and that all others are refused."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from secaplane.model.errors import Unauthenticated
from secaplane.policy.tokens.caller import SKEW_S, TOKEN_BYTES_MAX, Caller, TokenVerifier
from secaplane.policy.tokens.issuer import Issuer
from tests.rules.tokens import (
    CLAIMS,
    EC,
    EC_OTHER,
    ED,
    ISSUER,
    JANE,
    RSA,
    In,
    asked,
    jwks,
    public,
    refused,
    signed,
    verifier,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return jwks(tmp_path / "jwks.json", ec=EC, ed=ED, rsa=RSA)


@pytest.fixture
def tokens(file: Path) -> TokenVerifier:
    return verifier(Issuer(any_audience=True, issuer=ISSUER, keys=str(file)))


# --- accepted tokens


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"), [(EC, "ec", "ES256"), (ED, "ed", "EdDSA"), (RSA, "rsa", "RS256")]
)
async def test_a_valid_token_identifies_its_caller(
    tokens: TokenVerifier, key: Any, kid: str, algorithm: str
) -> None:
    assert await asked(tokens, signed(key, kid, algorithm)) == JANE


async def test_the_bearer_scheme_is_case_insensitive(tokens: TokenVerifier) -> None:
    assert await tokens.caller(f"bearer {signed()}") == JANE


async def test_a_token_without_a_jti_is_accepted(tokens: TokenVerifier) -> None:
    assert await asked(tokens, signed(jti=None)) == Caller(ISSUER, "jane", "")


async def test_a_token_without_a_kid_is_verified_with_the_only_key(tmp_path: Path) -> None:
    single_key = verifier(
        Issuer(any_audience=True, issuer=ISSUER, keys=str(jwks(tmp_path / "one.json", ec=EC)))
    )
    assert await asked(single_key, signed(kid=None)) == JANE


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": In(10 - SKEW_S)},
        {"nbf": In(SKEW_S - 10)},
        {"iat": In(3600)},
        {"note": "x" * 9000},
        {"iat": In(0), "aud": "anything", "scope": "x", "roles": ["seca.admin"]},
        {"sub": "x" * 128},
        {"sub": "jane@example.org|42 é"},
    ],
)
async def test_claims_within_bounds_are_accepted(
    tokens: TokenVerifier, claims: dict[str, Any]
) -> None:
    await asked(tokens, signed(**claims))


# --- refused tokens


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": In(-SKEW_S - 10)},
        {"exp": None},
        {"exp": 0},
        {"exp": "soon"},
        {"exp": 1e400},
        {"exp": -1e400},
        {"nbf": In(SKEW_S + 10)},
        {"sub": None},
        {"sub": ""},
        {"sub": "*"},
        {"sub": 7},
        {"sub": ["jane"]},
        {"sub": "x" * 129},
        {"iss": None},
        {"iss": ""},
        {"iss": "https://elsewhere.example.org"},
        {"iss": ISSUER + "/"},
        {"jti": 7},
    ],
)
async def test_a_missing_or_invalid_claim_is_refused(
    tokens: TokenVerifier, claims: dict[str, Any]
) -> None:
    await refused(tokens, f"Bearer {signed(**claims)}")


async def test_a_token_signed_with_another_key_than_it_names_is_refused(
    tokens: TokenVerifier,
) -> None:
    await refused(tokens, f"Bearer {signed(EC_OTHER)}")
    await refused(tokens, f"Bearer {signed(kid='ed')}")
    await refused(tokens, f"Bearer {signed(kid='unknown')}")
    await refused(tokens, f"Bearer {signed(kid=None)}")
    await refused(tokens, f"Bearer {signed(RSA, 'rsa', 'RS512')}")


async def test_an_unsigned_token_is_refused(tokens: TokenVerifier) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        head, body = part({"alg": algorithm, "typ": "JWT", "kid": "ec"}), part(CLAIMS)
        for signature in ("", "AAAA", signed().rpartition(".")[2]):
            await refused(tokens, f"Bearer {head}.{body}.{signature}")


async def test_a_public_key_is_not_accepted_as_a_shared_secret(tokens: TokenVerifier) -> None:
    """The algorithm confusion attack: HS256 with the text of the public key as the secret."""
    texts = [
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for key in (EC, RSA)
    ]
    texts.append(json.dumps(public("ec", EC)).encode())
    for text in texts:
        for kid in ("ec", "rsa"):
            await refused(tokens, f"Bearer {by_hand(text, kid)}")


def by_hand(secret: bytes, kid: str) -> str:
    """An HS256 token, built by hand because the library refuses such a secret."""
    signed_part = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(CLAIMS)}"
    return f"{signed_part}.{encoded(hmac.digest(secret, signed_part.encode(), hashlib.sha256))}"


def part(value: object) -> str:
    return encoded(json.dumps(value).encode())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


DEEP = encoded(b'{"alg":"ES256","kid":"ec","x":' + b"[" * 2500)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer ..",
        "Bearer ...",
        "Bearer a.b.c.d.e",
        "Bearer é.é.é",
        "Bearer \ud800",
        "Bearer " + "." * 5000,
        f"Bearer {part([])}.{part(CLAIMS)}.AAAA",
        f"Bearer {part('x')}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 7})}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'kid': {}})}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'crit': ['x'], 'kid': 'ec'})}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'b64': False, 'kid': 'ec'})}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'kid': 'ec'})}.{part([])}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'kid': 'ec'})}.{part('x')}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'kid': 'ec'})}.AAAA.AAAA",
        f"Bearer {DEEP}.{part(CLAIMS)}.AAAA",
        f"Bearer {part({'alg': 'ES256', 'kid': 'ec'})}.{encoded(b'[' * 5000)}.AAAA",
        f"Basic {signed()}",
        signed(),
        f"Bearer {signed()} {signed()}",
        f"Bearer {signed()}, Basic x",
        f"Bearer {signed(note='x' * TOKEN_BYTES_MAX)}",
    ],
)
async def test_an_authorization_without_a_valid_token_is_refused(
    tokens: TokenVerifier, authorization: str | None
) -> None:
    await refused(tokens, authorization)


async def test_a_truncated_or_changed_token_is_refused(tokens: TokenVerifier) -> None:
    token = signed()
    for length in range(0, len(token), 7):
        await refused(tokens, f"Bearer {token[:length]}")
    head, body, signature = token.split(".")
    other = part(CLAIMS | {"sub": "admin"})
    for changed in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[::-1]}"):
        await refused(tokens, f"Bearer {changed}")


async def test_a_refusal_never_contains_the_token(tokens: TokenVerifier) -> None:
    for token in (
        signed(sub="*"),
        signed(exp=In(-600)),
        signed(kid="not-known-kid"),
        signed(iss="https://not-known.example.org"),
        signed(EC_OTHER),
        signed()[:-10],
        signed(jti=7),
        f"{part({'alg': 'not-known-alg'})}.{part(CLAIMS)}.AAAA",
        "Zm9vYmFy" * 10,
    ):
        reason = await refused(tokens, f"Bearer {token}")
        assert not any(piece in reason for piece in (*token.split("."), "not-known"))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "http://127.0.0.1:1/jwks.json"},
        {"x5u": "http://127.0.0.1:1/chain.pem"},
        {"jwk": public("ec", EC_OTHER)},
        {"jwk": public("ec", EC_OTHER), "jku": "http://127.0.0.1:1/", "kid": "other"},
        {"x5c": ["MIIB"], "x5t": "AAAA"},
    ],
    ids=str,
)
async def test_a_key_contained_in_a_token_is_not_used(
    tokens: TokenVerifier, header: dict[str, Any]
) -> None:
    await refused(tokens, f"Bearer {signed(EC_OTHER, header=header)}")


async def test_key_headers_of_a_valid_token_are_ignored(tokens: TokenVerifier) -> None:
    """The key comes from the issuer's JWKS, also if the header contains or links to another."""
    header = {"jwk": public("ec", EC_OTHER), "jku": "http://127.0.0.1:1/"}
    assert await asked(tokens, signed(header=header)) == JANE


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 96, 128])
async def test_a_signature_of_a_wrong_length_is_refused(tokens: TokenVerifier, length: int) -> None:
    signed_part, _, signature = signed().rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = encoded((raw * 2)[:length])
    await refused(tokens, f"Bearer {signed_part}.{other}")


async def test_a_signature_in_another_encoding_is_refused(tokens: TokenVerifier) -> None:
    """DER, as other protocols encode it; all zeros; all ones."""
    signed_part, _, _ = signed().rpartition(".")
    der = EC.sign(signed_part.encode(), ec.ECDSA(hashes.SHA256()))
    for raw in (der, bytes(64), b"\xff" * 64):
        await refused(tokens, f"Bearer {signed_part}.{encoded(raw)}")


TWICE = (
    '{"iss":"%s","sub":"admin","sub":"jane","exp":%d}',
    '{"iss":"%s","exp":%d,"sub":"jane","a":{"b":1,"b":2}}',
    '{"iss":"x","iss":"%s","exp":%d,"sub":"jane"}',
)


@pytest.mark.parametrize("claims", TWICE)
async def test_a_token_with_a_duplicate_claim_is_refused(
    tokens: TokenVerifier, claims: str
) -> None:
    await refused(tokens, f"Bearer {by_key(claims % (ISSUER, In(600).from_now))}")


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"ES256","kid":"ec","kid":"ec"}',
        '{"alg":"none","alg":"ES256","kid":"ec"}',
        '{"alg":"ES256","kid":"ec","typ":"logout+jwt"}',
        '{"alg":"ES256","kid":"ec","typ":["JWT"]}',
        '{"alg":"ES256","kid":"ec","crit":["exp"],"exp":1}',
        '{"alg":"ES256","kid":"ec","crit":[]}',
        '{"alg":"ES256","kid":"ec","b64":false}',
        '{"alg":["ES256"],"kid":"ec"}',
        '{"alg":"ES256","kid":["ec"]}',
        '{"alg":"ES256","kid":null}',
        '{"alg":"es256","kid":"ec"}',
        '{"kid":"ec"}',
        "\ufeff{}",
    ],
)
async def test_an_invalid_header_is_refused(tokens: TokenVerifier, header: str) -> None:
    claims = json.dumps(CLAIMS)
    assert await asked(tokens, by_key(claims)) == JANE
    await refused(tokens, f"Bearer {by_key(claims, header)}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "true", "[]", '"1"'])
async def test_a_time_that_is_no_finite_number_is_refused(
    tokens: TokenVerifier, number: str
) -> None:
    for claims in (
        f'{{"iss":"{ISSUER}","sub":"jane","exp":{number}}}',
        f'{{"iss":"{ISSUER}","sub":"jane","exp":{In(60).from_now},"iat":{number}}}',
    ):
        with pytest.raises(Unauthenticated):
            await asked(tokens, by_key(claims))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
async def test_json_that_is_not_utf_8_is_refused(tokens: TokenVerifier, encoding: str) -> None:
    claims = encoded(json.dumps(CLAIMS).encode(encoding))
    signed_part = f"{part({'alg': 'ES256', 'kid': 'ec'})}.{claims}"
    signature = encoded(raw_signature(signed_part.encode()))
    await refused(tokens, f"Bearer {signed_part}.{signature}")


def by_key(claims: str, header: str = '{"alg":"ES256","kid":"ec"}') -> str:
    """A correctly signed token with any claims and header."""
    signed_part = f"{encoded(header.encode())}.{encoded(claims.encode())}"
    return f"{signed_part}.{encoded(raw_signature(signed_part.encode()))}"


def raw_signature(data: bytes) -> bytes:
    r, s = decode_dss_signature(EC.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


# --- issuers


async def test_a_token_is_verified_with_the_keys_of_its_issuer(tmp_path: Path) -> None:
    own, other = jwks(tmp_path / "a.json", k=EC), jwks(tmp_path / "b.json", k=EC_OTHER)
    tokens = verifier(
        Issuer(any_audience=True, issuer="a", keys=str(own)),
        Issuer(any_audience=True, issuer="b", keys=str(other), prefix="b|"),
    )
    assert await asked(tokens, signed(EC, "k", iss="a")) == Caller("a", "jane", "t-1")
    assert await asked(tokens, signed(EC_OTHER, "k", iss="b")) == Caller("b", "b|jane", "t-1")
    await refused(tokens, f"Bearer {signed(EC, 'k', iss='b')}")
    await refused(tokens, f"Bearer {signed(EC_OTHER, 'k', iss='a')}")


async def test_an_issuer_cannot_name_callers_with_the_prefix_of_another(
    tmp_path: Path,
) -> None:
    own, other = jwks(tmp_path / "a.json", k=EC), jwks(tmp_path / "b.json", k=EC_OTHER)
    tokens = verifier(
        Issuer(any_audience=True, issuer="a", keys=str(own)),
        Issuer(any_audience=True, issuer="b", keys=str(other), prefix="b|"),
        Issuer(any_audience=True, issuer="c", keys=str(other), prefix="b|c|"),
    )
    await refused(tokens, f"Bearer {signed(EC, 'k', iss='a', sub='b|jane')}")
    await refused(tokens, f"Bearer {signed(EC_OTHER, 'k', iss='b', sub='c|jane')}")
    assert (await asked(tokens, signed(EC_OTHER, "k", iss="c"))).sub == "b|c|jane"
    assert (await asked(tokens, signed(EC_OTHER, "k", iss="b", sub="b|jane"))).sub == "b|b|jane"
    assert (await asked(tokens, signed(EC, "k", iss="a", sub="b"))).sub == "b"


@pytest.mark.parametrize(
    ("audience", "accepted"),
    [("seca", True), (["other", "seca"], True), ("other", False), ([], False), (None, False)],
)
async def test_a_configured_audience_is_required(
    file: Path, audience: str | list[str] | None, accepted: bool
) -> None:
    tokens = verifier(Issuer(issuer=ISSUER, keys=str(file), audience="seca"))
    if accepted:
        assert await asked(tokens, signed(aud=audience)) == JANE
    else:
        await refused(tokens, f"Bearer {signed(aud=audience)}")


async def test_only_configured_algorithms_are_accepted(file: Path) -> None:
    tokens = verifier(
        Issuer(any_audience=True, issuer=ISSUER, keys=str(file), algorithms=("EdDSA",))
    )
    assert await asked(tokens, signed(ED, "ed", "EdDSA")) == JANE
    await refused(tokens, f"Bearer {signed()}")
