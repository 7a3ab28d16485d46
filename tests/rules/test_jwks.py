"""The usable keys of a JWKS, and the valid settings of an issuer."""

import copy
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from secaplane.policy.tokens import jwks
from secaplane.policy.tokens.issuer import ALGORITHMS, Issuer
from tests.rules.tokens import EC, EC_OTHER, ED, ISSUER, RSA, private, public

SETTINGS = Issuer(any_audience=True, issuer=ISSUER, algorithms=(*ALGORITHMS, "PS256"))
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP384R1())
GOOD = public("good", EC)


def read(*rows: Any, settings: Issuer = SETTINGS) -> jwks.KeySet:
    return jwks.read(msgspec.json.encode({"keys": rows}), settings)


# --- keys


@pytest.mark.parametrize(
    ("row", "algorithms"),
    [
        (public("k", EC), {"ES256"}),
        (public("k", ED), {"EdDSA"}),
        (public("k", RSA), {"RS256", "PS256"}),
        (public("k", RSA) | {"alg": "RS256"}, {"RS256"}),
        (public("k", EC) | {"use": "sig", "key_ops": ["verify"], "alg": "ES256"}, {"ES256"}),
        (public("k", EC) | {"x5c": ["MIIB"], "x5u": "http://127.0.0.1:1/", "new": 1}, {"ES256"}),
    ],
)
def test_a_key_verifies_the_algorithms_that_match_it(
    row: dict[str, Any], algorithms: set[str]
) -> None:
    found = read(row)
    assert set(found.keys) == {("k", algorithm) for algorithm in algorithms}
    assert set(found.sole) == algorithms
    assert not found.remarks


@pytest.mark.parametrize(
    "row",
    [
        private(EC) | {"kid": "k"},
        private(RSA) | {"kid": "k"},
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "k"},
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "k", "alg": "HS256"},
        public("k", EC) | {"k": "c2VjcmV0" * 8},
        public("k", EC) | {"use": "enc"},
        public("k", EC) | {"key_ops": ["encrypt"]},
        public("k", EC) | {"key_ops": "verify"},
        public("k", EC) | {"alg": "ES384"},
        public("k", EC) | {"alg": "RS256"},
        public("k", EC) | {"alg": "HS256"},
        public("k", EC) | {"alg": "none"},
        public("k", EC) | {"kty": "RSA"},
        public("k", RSA) | {"alg": "RSA-OAEP"},
        public("k", CURVE),
        public("k", CURVE) | {"crv": "P-256"},
        public("k", SMALL),
        public("k", EC) | {"x": "AAAA"},
        public("k", EC) | {"x": None},
        public("k", RSA) | {"n": "AA"},
        public("k", RSA) | {"n": 7},
        public("k", ED) | {"crv": "X25519"},
        public("k", EC) | {"kid": 7},
        public("k" * 300, EC),
        {"kid": "k"},
        {},
        "k",
        None,
    ],
    ids=str,
)
def test_an_unusable_key_is_ignored_with_a_remark(row: Any) -> None:
    found = read(row, GOOD)
    assert set(found.keys) == {("good", "ES256")}
    (remark,) = found.remarks
    assert remark.startswith("key 0: ")
    with pytest.raises(jwks.UnusableKeys) as raised:
        read(row)
    for text in (remark, str(raised.value)):  # it may be a secret
        values = [v for v in (row.values() if isinstance(row, dict) else ()) if len(str(v)) > 8]
        assert not any(str(value) in text for value in values)


def test_the_first_of_two_keys_with_one_kid_counts() -> None:
    found = read(public("k", EC), public("k", EC_OTHER), public("k", RSA))
    assert found.keys["k", "ES256"].key.public_numbers() == EC.public_key().public_numbers()
    assert ("k", "RS256") in found.keys
    assert found.remarks == ["key 1: another key has the same kid"]
    assert not found.sole


DEEP, MANY = '{"keys": ' + "[" * 2000, '{"keys": [' + "{}," * jwks.KEYS_MAX + "{}]}"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"keys": 1}', '{"keys": {}}', '{"keys": []}', "\x80", "<>", DEEP, MANY],
)
def test_an_invalid_jwks_is_refused(text: str) -> None:
    with pytest.raises(jwks.UnusableKeys):
        jwks.read(text.encode("latin-1"), SETTINGS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["", "AQAB"]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    st.sampled_from([public("k", key) for key in (EC, ED, RSA)]),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]),
        JSON,
        max_size=3,
    ),
)
def test_any_key_is_either_usable_or_ignored(row: dict[str, Any], changes: dict[str, Any]) -> None:
    found = jwks.read(json.dumps({"keys": [copy.copy(row) | changes, GOOD]}).encode(), SETTINGS)
    assert ("good", "ES256") in found.keys


# --- settings


@pytest.mark.parametrize(
    "settings",
    [
        {"keys": "http://id.example.org/jwks.json"},
        {"keys": "http://10.0.0.1/jwks.json"},
        {"keys": "http://localhost.example.org/jwks.json"},
        {"keys": "http://127.0.0.1.example.org/jwks.json"},
        {"keys": "ftp://id.example.org/jwks.json"},
        {"keys": "file:///etc/jwks.json"},
        {"keys": "https:///jwks.json"},
        {"keys": "https://user:secret@id.example.org/jwks.json"},
        {"issuer": "http://id.example.org"},
        {"issuer": "id"},
        {"issuer": ""},
        {"keys": "jwks.json", "algorithms": ["none"]},
        {"keys": "jwks.json", "algorithms": ["ES256", "none"]},
        {"keys": "jwks.json", "algorithms": []},
        {"keys": "jwks.json", "algorithms": ["HS256"]},
        {"keys": "jwks.json", "algorithms": ["ES256", "HS256"], "secret": "secret"},
        {"keys": "jwks.json", "algorithms": ["HS256"], "secret": "secret"},
        {"algorithms": ["HS256"]},
        {"secret": "secret"},
        {"keys": "jwks.json", "audiance": "seca"},
    ],
    ids=str,
)
def test_unsafe_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"issuer": ISSUER, "audience": "seca"} | settings, Issuer)


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({}, False),
        ({"audience": ""}, False),
        ({"any_audience": False}, False),
        ({"audience": "seca", "any_audience": True}, False),
        ({"audience": "seca"}, True),
        ({"any_audience": True}, True),
    ],
    ids=str,
)
def test_an_issuer_names_its_audience_or_says_that_it_needs_none(
    settings: dict[str, Any], accepted: bool
) -> None:
    sent = {"issuer": ISSUER, "keys": "jwks.json"} | settings
    if accepted:
        msgspec.convert(sent, Issuer)
    else:
        with pytest.raises(msgspec.ValidationError, match="any_audience = true"):
            msgspec.convert(sent, Issuer)


@pytest.mark.parametrize(
    ("settings", "url", "file"),
    [
        ({"keys": "jwks.json"}, "", "jwks.json"),
        ({"keys": "https://x.example.org/k"}, "https://x.example.org/k", ""),
        ({"keys": "http://127.0.0.1:80/k"}, "http://127.0.0.1:80/k", ""),
        ({"keys": "http://[::1]:80/k"}, "http://[::1]:80/k", ""),
        ({"keys": "http://idp.internal/k", "plain_http": True}, "http://idp.internal/k", ""),
        ({}, f"{ISSUER}/.well-known/openid-configuration", ""),
        ({"issuer": f"{ISSUER}/a/"}, f"{ISSUER}/a/.well-known/openid-configuration", ""),
        ({"algorithms": ["HS256"], "secret": "secret"}, "", "secret"),
    ],
    ids=str,
)
def test_settings_select_the_source_of_keys(settings: dict[str, Any], url: str, file: str) -> None:
    issuer = msgspec.convert({"issuer": ISSUER, "audience": "seca"} | settings, Issuer)
    assert (issuer.url, issuer.file) == (url, file)


@pytest.mark.parametrize(("secret", "taken"), [(b"s" * 31, False), (b"s" * 32 + b"\n", True)])
def test_a_shared_secret_has_a_minimum_length(secret: bytes, taken: bool) -> None:
    if taken:
        assert set(jwks.from_secret(secret).sole) == {"HS256"}
    else:
        with pytest.raises(jwks.UnusableKeys):
            jwks.from_secret(secret)
