"""Every route requires authentication, and no bad token is accepted."""

import hmac
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import aiohttp
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode
from multidict import CIMultiDict

from secaplane.cli.dev.issuer import ALGORITHM, KID, DevIssuer
from secaplane.cli.dev.plane import ISSUER
from secaplane.edge.requests.paths import REVIEWS
from secaplane.kinds import KINDS
from secaplane.kinds.views import (
    ACTIVITY,
    EXPORTS,
    LATEST,
    OF_ONE_RESOURCE,
    UNDO,
    tenant_view_path,
    view_path,
)
from tests.flows.client import JSON, Client, at
from tests.flows.dev_plane import DevProcess
from tests.flows.problems import refused

ADMINISTRATOR = "admin@example.org"
OPEN = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/.wellknown/secapi")
IDS = {"tenant": "demo", "workspace": "w", "network": "n", "cluster": "c"}


def all_routes() -> list[tuple[str, str]]:
    """(method, path) of every route derived from the kinds and the views, and of access reviews."""
    routes = [("POST", REVIEWS.format_map(IDS))]
    for kind in KINDS.values():
        for collection in (url.format_map(IDS) for url in kind.urls):
            routes += [("GET", collection), ("HEAD", collection)]
            routes += [(verb.upper(), f"{collection}/x") for verb in kind.verbs]
            routes += [("HEAD", f"{collection}/x")] if "get" in kind.verbs else []
            routes += [("POST", f"{collection}/x/{action}") for action in kind.actions]
        of_one = f"{kind.provider.full_name}/{kind.collection.format_map(IDS)}/x"
        if kind.has_history:
            for segment in OF_ONE_RESOURCE:
                path = view_path(segment, of_one)
                routes += [("GET", path), ("HEAD", path)]
        if "put" in kind.verbs:
            routes.append(("POST", view_path(UNDO, of_one)))
    for view in (ACTIVITY, f"{ACTIVITY}/x", EXPORTS, f"{EXPORTS}/{LATEST}"):
        path = tenant_view_path(view).format_map(IDS)
        routes += [("GET", path), ("HEAD", path)]
    return routes


async def test_every_route_requires_a_token(client: Client) -> None:
    for method, path in all_routes():
        data, headers = (b"{}", {"Content-Type": JSON}) if method == "PUT" else (None, {})
        answer = await client.ask(method, path, token=None, data=data, headers=headers)
        if method == "HEAD":
            assert (answer.status, answer.body) == (401, b""), path
        else:
            refused(answer, 401)


async def test_the_tested_routes_are_the_documented_operations(client: Client) -> None:
    """Guards against a route that `all_routes` misses: the document is generated independently."""
    paths = (await client.get("/openapi.json", token=None)).json["paths"]
    documented = {
        (method.upper(), path.format_map(IDS | {"name": "x"}))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation.get("security") != []
    }
    assert {each for each in all_routes() if each[0] != "HEAD"} == documented


async def test_open_routes_reveal_nothing_about_tenants(client: Client) -> None:
    for path in OPEN:
        assert (await client.get(path, token=None)).status == 200, path
    metrics = (await client.get("/metrics", token=None)).body.decode()
    assert "demo" not in metrics


# --- bad tokens


Forge = Callable[[DevProcess], str]
NOW = int(time.time())
GOOD: dict[str, Any] = {"iss": ISSUER, "sub": ADMINISTRATOR, "exp": NOW + 3600}


def signed(claims: dict[str, Any], **header: Any) -> Forge:
    """A token signed with the control plane's own key; a claim that is None is omitted."""

    def forge(plane: DevProcess) -> str:
        present = {name: value for name, value in (GOOD | claims).items() if value is not None}
        key = jwt.PyJWK(issuer(plane).key, algorithm=ALGORITHM)
        return jwt.encode(present, key, algorithm=ALGORITHM, headers={"kid": KID} | header)

    return forge


def issuer(plane: DevProcess) -> DevIssuer:
    return DevIssuer.kept(plane.folder / "issuer.json", plane.folder / "jwks.json", ISSUER)


def stranger(plane: DevProcess) -> str:
    """A token signed with another key under the key id of the control plane."""
    key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    return DevIssuer(ISSUER, key | {"kid": KID}).token(ADMINISTRATOR, hours=1)


def unsigned(plane: DevProcess) -> str:
    return jwt.encode(GOOD, "", algorithm="none", headers={"kid": KID})


def with_public_key(plane: DevProcess) -> str:
    """A token signed with the public key as if it were a shared secret (HS256)."""
    public = jwt.PyJWK(issuer(plane).key, algorithm=ALGORITHM).key.public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "typ": "JWT", "kid": KID}
    payload = b".".join(base64url_encode(msgspec.json.encode(part)) for part in (head, GOOD))
    return (payload + b"." + base64url_encode(hmac.digest(secret, payload, "sha256"))).decode()


def with_other_claims(plane: DevProcess) -> str:
    head, _, signature = plane.token("jane").split(".")
    return ".".join((head, plane.details.operator_token.split(".")[1], signature))


def without_signature(plane: DevProcess) -> str:
    return plane.details.token.rpartition(".")[0] + "."


@pytest.mark.parametrize(
    "forge",
    [
        stranger,
        unsigned,
        with_public_key,
        with_other_claims,
        without_signature,
        signed({"exp": NOW - 3600}),
        signed({"exp": None}),
        signed({"exp": "soon"}),
        signed({"nbf": NOW + 3600}),
        signed({"iss": "https://elsewhere.example.org"}),
        signed({"iss": None}),
        signed({"iss": ""}),
        signed({"sub": None}),
        signed({"sub": ""}),
        signed({"sub": "*"}),
        signed({"sub": 7}),
        signed({"sub": "a" * 129}),
        signed({}, kid="another"),
        signed({}, crit=["unknown"]),
        signed({}, typ="logout+jwt"),
        signed({"padding": "a" * 16384}),
    ],
    ids=str,
)
async def test_a_bad_token_is_refused(client: Client, plane: DevProcess, forge: Forge) -> None:
    token = forge(plane)
    for path in (at("region"), at("workspace", "x")):
        answer = await client.get(path, token=token)
        assert refused(answer, 401) == []
        assert token not in answer.body.decode()
    assert (await client.get(at("region"))).status == 200


async def test_a_correct_token_made_by_the_test_is_accepted(
    client: Client, plane: DevProcess
) -> None:
    """Shows that each forgery above is refused for its own fault only."""
    assert (await client.get(at("region"), token=signed({})(plane))).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer a.b.c",
        "Basic YTpi",
        "bearer  x",
        "x" * 20_000,
        "Bearer é",
    ],
    ids=lambda header: header[:12],
)
async def test_an_authorization_header_without_a_bearer_token_is_refused(
    client: Client, header: str
) -> None:
    answer = await client.get(at("region"), token=None, Authorization=header)
    assert refused(answer, 401) == []


@pytest.mark.parametrize("second", ["same", "stranger", "Basic YTpi", ""])
async def test_two_authorization_headers_are_refused(plane: DevProcess, second: str) -> None:
    """A proxy in front may have checked the other one."""
    good = f"Bearer {plane.details.token}"
    other = {"same": good, "stranger": f"Bearer {stranger(plane)}"}.get(second, second)
    for pair in ((good, other), (other, good)):
        headers = CIMultiDict([("Authorization", each) for each in pair])
        url = plane.details.url + at("region")
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            assert answer.status == 401


async def test_the_bearer_scheme_is_case_insensitive(client: Client, plane: DevProcess) -> None:
    for scheme in ("bearer", "BEARER"):
        header = f"{scheme} {plane.details.token}"
        found = await client.get(at("region"), token=None, Authorization=header)
        assert found.status == 200


async def test_the_caller_is_checked_before_the_body(client: Client, plane: DevProcess) -> None:
    """In order: what path and token decide, readable body, rules of the kind."""
    body = msgspec.json.encode({"spec": {"unknown": 1}})
    path = at("block-storage", "BAD", workspace="w")
    headers = {"Content-Type": JSON}
    answer = await client.ask("PUT", path, token=None, data=body, headers=headers)
    refused(answer, 401)
    answer = await client.ask("PUT", path, token=None, data=b"{", headers=headers)
    refused(answer, 401)
    stranger = plane.token("stranger-of-order")
    for data in (b"{", body, b"x" * 2 * 1024 * 1024):
        sent = BytesIO(data)
        answer = await client.ask("PUT", path, token=stranger, data=sent, headers=headers)
        refused(answer, 403)
    assert refused(await client.ask("PUT", path, data=b"{", headers=headers), 400) == []
    assert refused(await client.ask("PUT", path, data=body, headers=headers), 422) != []
