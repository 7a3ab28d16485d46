"""Secret fields: encrypted before they reach the log, decryptable only in the life they are of."""

import base64
from itertools import count
from pathlib import Path

import msgspec
import pytest

from secaplane.kinds import KINDS
from secaplane.model.shape import Json, LifeIds
from secaplane.sealing.keys.data_key import DataKey
from secaplane.sealing.sealer import Keyring, Sealer, UnsealFailed

INSTANCE = KINDS["instance"]
ONE = LifeIds("tenant-1", "one-1")
SECRET = "#cloud-config\npassword: hunter2 é 😀"
SPEC: Json = {"zone": "a", "userData": SECRET, "sshKeys": ["ssh-ed25519 AAAA"]}


def key(letter: str) -> str:
    return base64.b64encode(letter.encode() * 32).decode()


OLD = Keyring("k1", {"k1": key("a")})
ROTATED = Keyring("k2", {"k1": key("a"), "k2": key("b")})


def sealer(keyring: Keyring = OLD) -> Sealer:
    numbers = count()
    return Sealer(keyring, random=lambda size: next(numbers).to_bytes(size, "big"))


def test_a_sealed_spec_is_opened_unchanged() -> None:
    sealed = sealer().seal(INSTANCE, ONE, SPEC)
    assert sealer().open(INSTANCE, ONE, sealed) == SPEC


@pytest.mark.parametrize("text", ["", "x", "sealed:k1:0:0", "x" * 65536])
def test_any_text_can_be_a_secret(text: str) -> None:
    spec = SPEC | {"userData": text}
    assert sealer().open(INSTANCE, ONE, sealer().seal(INSTANCE, ONE, spec)) == spec


def test_only_the_secret_field_is_sealed_and_no_part_of_it_stays_in_clear() -> None:
    sealed = sealer().seal(INSTANCE, ONE, SPEC)
    assert sealed["userData"].startswith("sealed:k1:")
    assert "hunter2" not in msgspec.json.encode(sealed).decode()
    assert SECRET.encode() not in base64.b64decode(sealed["userData"].rpartition(":")[2])
    assert sealed | {"userData": SECRET} == SPEC


def test_a_spec_without_secrets_is_not_changed() -> None:
    spec = {"zone": "a"}
    assert sealer().seal(INSTANCE, ONE, spec) is spec
    assert sealer().seal(KINDS["workspace"], ONE, SPEC) is SPEC


def test_a_value_that_is_no_text_is_not_sealed() -> None:
    assert sealer().seal(INSTANCE, ONE, {"userData": 7}) == {"userData": 7}


def test_the_same_text_has_the_same_digest_and_another_ciphertext() -> None:
    sealing = sealer()
    first, again, other = (
        sealing.seal(INSTANCE, ONE, {"userData": text})["userData"].split(":")
        for text in ("a", "a", "b")
    )
    assert first[:3] == again[:3]
    assert first[3] != again[3]
    assert first[2] != other[2]


OTHERS = [LifeIds("tenant-1", "one-2"), LifeIds("tenant-2", "one-1"), LifeIds("", "one-1")]
"""The next life of the same name, the same uid in the next life of the tenant, and outside of any
tenant."""


@pytest.mark.parametrize("other", OTHERS)
def test_a_digest_differs_between_lives(other: LifeIds) -> None:
    first, second = (sealer().seal(INSTANCE, life, SPEC)["userData"] for life in (ONE, other))
    assert first.split(":")[2] != second.split(":")[2]


@pytest.mark.parametrize("other", OTHERS)
def test_a_secret_opens_only_in_the_life_it_was_sealed_for(other: LifeIds) -> None:
    sealed = sealer().seal(INSTANCE, ONE, SPEC)
    with pytest.raises(UnsealFailed):
        sealer().open(INSTANCE, other, sealed)


def test_a_secret_does_not_open_as_another_field() -> None:
    text = sealer().seal(INSTANCE, ONE, SPEC)["userData"]
    shown = {"spec": {}, "status": {"kubeConfig": text}}
    with pytest.raises(UnsealFailed):
        sealer().open_shown(KINDS["kubernetes-cluster"], ONE, shown)


def test_an_old_key_opens_and_only_the_current_key_seals() -> None:
    before = sealer(OLD).seal(INSTANCE, ONE, SPEC)
    assert sealer(ROTATED).open(INSTANCE, ONE, before) == SPEC
    after = sealer(ROTATED).seal(INSTANCE, ONE, SPEC)
    assert after["userData"].startswith("sealed:k2:")
    with pytest.raises(UnsealFailed):
        sealer(OLD).open(INSTANCE, ONE, after)


def test_another_key_of_the_same_name_opens_nothing() -> None:
    sealed = sealer(OLD).seal(INSTANCE, ONE, SPEC)
    with pytest.raises(UnsealFailed):
        sealer(Keyring("k1", {"k1": key("z")})).open(INSTANCE, ONE, sealed)


@pytest.mark.parametrize("data", ["", "in clear", "sealed:", "sealed:k1:d:!!", "sealed:k1:d:AAAA"])
def test_data_that_was_not_sealed_does_not_open(data: str) -> None:
    with pytest.raises(UnsealFailed):
        sealer().open(INSTANCE, ONE, {"userData": data})


def test_a_changed_bit_is_detected() -> None:
    head, _, data = sealer().seal(INSTANCE, ONE, SPEC)["userData"].rpartition(":")
    cipher = bytearray(base64.b64decode(data))
    cipher[-1] ^= 1
    with pytest.raises(UnsealFailed) as raised:
        sealer().open(INSTANCE, ONE, {"userData": f"{head}:{base64.b64encode(cipher).decode()}"})
    assert "hunter2" not in str(raised.value)


# --- strings that were sealed by former releases are read for ever

DERIVED = (
    "sealed:k1:b0dc7a19dcfd3ee7d19c0cd97896ba5e32b0d58e4da31fb807f7fe46cf846e96"
    ":AAAAAAAAAAAAAAAABGrsBxM7k1oQwSWOyJZZw26J5d9ojw=="
)
RANDOM = (
    "sealed:random/0123456789ab:6ed01ea4880ed8da4f77b83fd6ad62c4d5e24d8cc6378e9ca36a7d2d92c9f710"
    ":AAAAAAAAAAAAAAAAadPZutBCkBJCcM6K4Z+L8xu27rzh5A=="
)


@pytest.mark.parametrize("sealed", [DERIVED, RANDOM])
def test_what_a_former_release_sealed_is_opened(sealed: str) -> None:
    keys = {ONE: DataKey("0123456789ab", bytes(range(64)))}
    opened = sealer().having(keys).open(INSTANCE, ONE, {"userData": sealed})
    assert opened == {"userData": "golden"}


# --- the keyring's file


def written(path: Path, keyring: object) -> Path:
    path.write_bytes(msgspec.json.encode(keyring))
    return path


def test_a_new_keyring_is_read_as_it_was_written(tmp_path: Path) -> None:
    fresh = Keyring.generate()
    assert Keyring.read(written(tmp_path / "keyring.json", fresh)) == fresh


@pytest.mark.parametrize(
    "keyring",
    [
        {"current": "k1", "keys": {}},
        {"current": "k1", "keys": {"k1": "c2hvcnQ="}},
        {"current": "k1", "keys": {"k1": "no base64!"}},
        {"current": "k1"},
        [],
    ],
)
def test_an_invalid_keyring_is_refused(tmp_path: Path, keyring: object) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Keyring.read(written(tmp_path / "keyring.json", keyring))
