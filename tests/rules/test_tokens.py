"""Tokens: who is believed, and that nobody else is."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from model.errors import Unauthenticated
from policy.caller import LOOK_EVERY_S, SKEW_S, TOKEN_BYTES_MAX, Caller, Issuer, Tokens

ISSUER = "https://id.example.org"
JANE = Caller(ISSUER, "jane", "t-1")


@dataclass(frozen=True)
class In:
    """So many seconds from when it is asked: tests before this one may have taken a while."""

    seconds: int

    @property
    def from_now(self) -> int:
        return int(time.time()) + self.seconds


CLAIMS = {"iss": ISSUER, "sub": "jane", "exp": int(time.time()) + 3600, "jti": "t-1"}
EC, EC_OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(kid: str, key: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    as_jwk: Any = {
        ec.EllipticCurvePrivateKey: ECAlgorithm.to_jwk,
        rsa.RSAPrivateKey: RSAAlgorithm.to_jwk,
        ed25519.Ed25519PrivateKey: OKPAlgorithm.to_jwk,
    }
    make = next(make for type_, make in as_jwk.items() if isinstance(key, type_))
    return {**make(key.public_key(), as_dict=True), "kid": kid}


def jwks(path: Path, **keys: Any) -> Path:
    path.write_bytes(msgspec.json.encode({"keys": [public(k, v) for k, v in keys.items()]}))
    return path


def signed(key: Any = EC, kid: str | None = "ec", algorithm: str = "ES256", **claims: Any) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    said = {
        name: value.from_now if isinstance(value, In) else value for name, value in said.items()
    }
    headers = {"kid": kid} if kid is not None else None
    return jwt.encode(said, key, algorithm=algorithm, headers=headers)


@dataclass
class Clock:
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return jwks(tmp_path / "jwks.json", ec=EC, ed=ED, rsa=RSA)


@pytest.fixture
def tokens(file: Path) -> Tokens:
    return Tokens([Issuer(issuer=ISSUER, keys=str(file))])


def asked(tokens: Tokens, token: str) -> Caller:
    return tokens.caller(f"Bearer {token}")


def refused(tokens: Tokens, authorization: str | None) -> str:
    """Why; asked twice, because a refusal must not be remembered as anything else."""
    for _ in range(2):
        with pytest.raises(Unauthenticated) as raised:
            tokens.caller(authorization)
    return raised.value.detail


# --- who is believed


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"), [(EC, "ec", "ES256"), (ED, "ed", "EdDSA"), (RSA, "rsa", "RS256")]
)
def test_a_good_token_names_its_caller(tokens: Tokens, key: Any, kid: str, algorithm: str) -> None:
    assert asked(tokens, signed(key, kid, algorithm)) == JANE


def test_the_scheme_is_read_without_case(tokens: Tokens) -> None:
    assert tokens.caller(f"bearer {signed()}") == JANE


def test_a_token_without_an_id_names_its_caller_too(tokens: Tokens) -> None:
    assert asked(tokens, signed(jti=None)) == Caller(ISSUER, "jane", "")


def test_without_a_kid_the_only_key_is_taken(tmp_path: Path) -> None:
    alone = Tokens([Issuer(issuer=ISSUER, keys=str(jwks(tmp_path / "one.json", ec=EC)))])
    assert asked(alone, signed(kid=None)) == JANE


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": In(10 - SKEW_S)},
        {"nbf": In(SKEW_S - 10)},
        {"iat": In(0), "aud": "anything", "scope": "x", "roles": ["seca.admin"]},
        {"sub": "x" * 128},
        {"sub": "jane@example.org|42 é"},
    ],
)
def test_what_is_within_bounds_is_believed(tokens: Tokens, claims: dict[str, Any]) -> None:
    asked(tokens, signed(**claims))


# --- who is not


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
def test_what_a_token_must_say_it_must_say(tokens: Tokens, claims: dict[str, Any]) -> None:
    refused(tokens, f"Bearer {signed(**claims)}")


def test_a_token_with_another_key_than_it_names_is_refused(tokens: Tokens) -> None:
    refused(tokens, f"Bearer {signed(EC_OTHER)}")
    refused(tokens, f"Bearer {signed(kid='ed')}")
    refused(tokens, f"Bearer {signed(kid='nobody')}")
    refused(tokens, f"Bearer {signed(kid=None)}")
    refused(tokens, f"Bearer {signed(RSA, 'rsa', 'RS512')}")


def test_nobody_signs_with_nothing(tokens: Tokens) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        head, body = part({"alg": algorithm, "typ": "JWT", "kid": "ec"}), part(CLAIMS)
        for signature in ("", "AAAA", signed().rpartition(".")[2]):
            refused(tokens, f"Bearer {head}.{body}.{signature}")


def test_a_public_key_is_nobodys_secret(tokens: Tokens) -> None:
    """The old trick: sign with HS256 and the text of the public key."""
    texts = [
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for key in (EC, RSA)
    ]
    texts.append(json.dumps(public("ec", EC)).encode())
    for text in texts:
        for kid in ("ec", "rsa"):
            refused(tokens, f"Bearer {by_hand(text, kid)}")


def by_hand(secret: bytes, kid: str) -> str:
    """An HS256 token; the library itself refuses to make one with such a secret."""
    said = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{part(CLAIMS)}"
    return f"{said}.{encoded(hmac.digest(secret, said.encode(), hashlib.sha256))}"


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
        f"Bearer  {signed()}",
        f"Bearer {signed()} {signed()}",
        f"Bearer {signed()}, Basic x",
        f"Bearer {signed(note='x' * TOKEN_BYTES_MAX)}",
    ],
)
def test_what_is_no_token_is_refused(tokens: Tokens, authorization: str | None) -> None:
    refused(tokens, authorization)


def test_a_token_that_was_cut_or_changed_is_refused(tokens: Tokens) -> None:
    token = signed()
    for length in range(0, len(token), 7):
        refused(tokens, f"Bearer {token[:length]}")
    head, body, signature = token.split(".")
    other = part(CLAIMS | {"sub": "admin"})
    for changed in (f"{head}.{other}.{signature}", f"{head}.{body}.{signature[::-1]}"):
        refused(tokens, f"Bearer {changed}")


def test_a_refusal_never_holds_the_token(tokens: Tokens) -> None:
    for token in (
        signed(sub="*"),
        signed(exp=In(-600)),
        signed(kid="unheard-of-kid"),
        signed(iss="https://unheard-of.example.org"),
        signed(EC_OTHER),
        signed()[:-10],
        signed(jti=7),
        f"{part({'alg': 'unheard-of-alg'})}.{part(CLAIMS)}.AAAA",
        "Zm9vYmFy" * 10,
    ):
        why = refused(tokens, f"Bearer {token}")
        assert not any(piece in why for piece in (*token.split("."), "unheard-of"))


# --- issuers


def test_each_issuer_vouches_for_its_own_with_its_own_keys(tmp_path: Path) -> None:
    own, other = jwks(tmp_path / "a.json", k=EC), jwks(tmp_path / "b.json", k=EC_OTHER)
    tokens = Tokens(
        [
            Issuer(issuer="a", keys=str(own)),
            Issuer(issuer="b", keys=str(other), prefix="b|"),
        ]
    )
    assert asked(tokens, signed(EC, "k", iss="a")) == Caller("a", "jane", "t-1")
    assert asked(tokens, signed(EC_OTHER, "k", iss="b")) == Caller("b", "b|jane", "t-1")
    refused(tokens, f"Bearer {signed(EC, 'k', iss='b')}")
    refused(tokens, f"Bearer {signed(EC_OTHER, 'k', iss='a')}")


@pytest.mark.parametrize(
    ("audience", "believed"),
    [("seca", True), (["other", "seca"], True), ("other", False), ([], False), (None, False)],
)
def test_an_audience_that_is_asked_for_must_be_there(
    file: Path, audience: str | list[str] | None, believed: bool
) -> None:
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file), audience="seca")])
    if believed:
        assert asked(tokens, signed(aud=audience)) == JANE
    else:
        refused(tokens, f"Bearer {signed(aud=audience)}")


def test_only_the_algorithms_of_the_issuer_count(file: Path) -> None:
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file), algorithms=("EdDSA",))])
    assert asked(tokens, signed(ED, "ed", "EdDSA")) == JANE
    refused(tokens, f"Bearer {signed()}")


# --- what is remembered


def test_a_token_is_remembered_until_it_expires(file: Path) -> None:
    clock = Clock()
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file))], clock)
    token = signed(exp=int(clock.now) + 2)
    assert asked(tokens, token) == JANE
    clock.now += SKEW_S
    assert asked(tokens, token) == JANE
    clock.now += 3
    refused(tokens, f"Bearer {token}")


def test_a_key_that_is_taken_out_is_not_believed_any_more(file: Path) -> None:
    clock = Clock()
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file))], clock)
    token = signed()
    assert asked(tokens, token) == JANE
    jwks(file, next=EC_OTHER)
    clock.now += LOOK_EVERY_S + 1
    refused(tokens, f"Bearer {token}")


def test_keys_that_rotate_are_read_when_one_is_asked_for(file: Path) -> None:
    clock = Clock()
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file))], clock)
    token = signed(EC_OTHER, "next")
    refused(tokens, f"Bearer {token}")
    jwks(file, ec=EC, next=EC_OTHER)
    refused(tokens, f"Bearer {token}")  # not read again for every stranger's token
    clock.now += LOOK_EVERY_S + 1
    assert asked(tokens, token) == JANE


def test_a_key_that_is_taken_out_vouches_for_nobody_new(file: Path) -> None:
    clock = Clock()
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file))], clock)
    jwks(file, next=EC_OTHER)
    clock.now += LOOK_EVERY_S + 1
    assert asked(tokens, signed(EC_OTHER, "next")) == JANE
    refused(tokens, f"Bearer {signed(jti='t-2')}")


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"keys": 1}', '{"keys": []}', '{"keys": [{}]}'])
def test_a_file_that_is_spoilt_later_leaves_the_keys_as_they_were(file: Path, spoilt: str) -> None:
    clock = Clock()
    tokens = Tokens([Issuer(issuer=ISSUER, keys=str(file))], clock)
    file.write_text(spoilt)
    clock.now += LOOK_EVERY_S + 1
    refused(tokens, f"Bearer {signed(kid='next')}")
    assert asked(tokens, signed()) == JANE


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"keys": 1}', '{"keys": []}'])
def test_a_file_that_is_spoilt_from_the_start_stops_it(file: Path, spoilt: str) -> None:
    file.write_text(spoilt)
    with pytest.raises((jwt.PyJWTError, ValueError)):
        Tokens([Issuer(issuer=ISSUER, keys=str(file))])
