"""Key-encryption keys in a hardware security module, here a software one, have the same contract as
those in a keyring file."""

import base64
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pkcs11
import pytest
from msgspec.structs import replace

from secaplane.cli.config import Config
from secaplane.cli.operate.keyrings import generate
from secaplane.cli.processes.keys import event_wrapper
from secaplane.cli.settings import BadConfig, KeysSettings
from secaplane.sealing.keys import hsm
from secaplane.sealing.keys.data_key import DataKey, body_key
from secaplane.sealing.keys.data_keys import DataKeys
from secaplane.sealing.keys.key_store import KeysUnavailable, MemoryKeyStore
from secaplane.sealing.keys.wrapping import CannotUnwrap, FileWrapper, KeyWrapper
from secaplane.sealing.sealer import Keyring
from tests.log.new_events import NOON
from tests.soft_hsm import hsm_settings

KEY, CONTEXT = bytes(range(64)), "secaplane body.life id"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeysSettings]:
    with pytest.MonkeyPatch.context() as environment:
        yield hsm_settings(tmp_path_factory.mktemp("hsm"), environment)


@pytest.fixture
async def settings(token: KeysSettings) -> KeysSettings:
    assert await generate(Config(keys=token)) == 0
    return token


@pytest.fixture(params=("file", "hsm"))
async def wrapper(request: pytest.FixtureRequest) -> KeyWrapper:
    if request.param == "file":
        return FileWrapper(Keyring.generate())
    token: KeysSettings = request.getfixturevalue("token")
    await generate(Config(keys=token))
    return event_wrapper(Config(keys=token))


def keyring_file(folder: Path) -> str:
    file = folder / "keyring.json"
    file.write_bytes(msgspec.json.encode(Keyring.generate()))
    return str(file)


async def test_what_was_wrapped_for_a_name_is_unwrapped_for_it_alone(wrapper: KeyWrapper) -> None:
    wrapped = await wrapper.wrap(KEY, CONTEXT)
    assert await wrapper.unwrap(wrapped, CONTEXT) == KEY
    assert await wrapper.wrap(KEY, CONTEXT) != wrapped
    assert base64.b64encode(KEY).decode()[:20] not in wrapped
    with pytest.raises(CannotUnwrap):
        await wrapper.unwrap(wrapped, "secaplane body.other id")


@pytest.mark.parametrize("part", ["", "A", "AAAA", "not base64!", "A" * 400])
async def test_what_was_not_wrapped_is_refused(wrapper: KeyWrapper, part: str) -> None:
    place = (await wrapper.wrap(KEY, CONTEXT)).rpartition(":")[0]
    with pytest.raises(CannotUnwrap):
        await wrapper.unwrap(f"{place}:{part}", CONTEXT)


async def test_a_key_with_another_label_reads_what_the_former_one_has_wrapped(
    settings: KeysSettings,
) -> None:
    wrapped = await event_wrapper(Config(keys=settings)).wrap(KEY, CONTEXT)
    rotated = Config(keys=replace(settings, hsm_key="kek: of 2027"))
    assert await generate(rotated) == 0
    later = event_wrapper(rotated)
    assert await later.unwrap(wrapped, CONTEXT) == KEY
    again = await later.wrap(KEY, CONTEXT)
    assert again.startswith("hsm:kek: of 2027:")
    assert await event_wrapper(Config(keys=settings)).unwrap(again, CONTEXT) == KEY


async def test_a_site_moves_from_a_keyring_into_the_hsm(
    settings: KeysSettings, tmp_path: Path
) -> None:
    """Its store keeps the keys that the keyring has wrapped."""
    store, file = MemoryKeyStore(), keyring_file(tmp_path)
    before = event_wrapper(Config(keys=KeysSettings(keyring=file)))
    old = await DataKeys(store, before, now=lambda: NOON).made(body_key("old"))
    both = event_wrapper(Config(keys=replace(settings, keyring=file)))
    moved = DataKeys(store, both, now=lambda: NOON)
    new, found = await moved.made(body_key("new")), await moved.load(body_key("old"))
    assert isinstance(old, DataKey)
    assert isinstance(new, DataKey)
    assert isinstance(found, DataKey)
    assert found.open(old.seal(b"text", b""), b"") == b"text"
    without = DataKeys(store, event_wrapper(Config(keys=settings)), now=lambda: NOON)
    assert isinstance(await without.load(body_key("new")), DataKey)
    with pytest.raises(KeysUnavailable, match=r"body\.old could not be unwrapped"):
        await without.load(body_key("old"))


async def test_a_module_without_the_key_says_which_one(settings: KeysSettings) -> None:
    keys = event_wrapper(Config(keys=replace(settings, hsm_key="missing")))
    with pytest.raises(hsm.HsmUnavailable, match="no key missing"):
        await keys.wrap(KEY, CONTEXT)
    with pytest.raises(hsm.HsmUnavailable, match="no key gone"):
        await keys.unwrap(f"hsm:gone:{base64.b64encode(KEY).decode()}", CONTEXT)


async def test_a_module_that_is_away_is_found_again(settings: KeysSettings) -> None:
    """Each question opens a session of its own."""
    for gone in (replace(settings, hsm_module="/nowhere.so"), replace(settings, hsm_token="none")):
        keys = DataKeys(MemoryKeyStore(), event_wrapper(Config(keys=gone)), now=lambda: NOON)
        with pytest.raises(KeysUnavailable, match="could not be wrapped: the HSM"):
            await keys.made(body_key("life"))
    assert await event_wrapper(Config(keys=settings)).wrap(KEY, CONTEXT)


async def test_a_wrong_pin_is_tried_once(
    settings: KeysSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module locks itself after some wrong ones."""
    pin, asked = tmp_path / "pin", list[str]()
    pin.write_text("4321")

    def counted(module: str) -> object:
        asked.append(module)
        return pkcs11.lib(module)

    monkeypatch.setattr(hsm, "lib", counted)
    keys = event_wrapper(Config(keys=replace(settings, hsm_pin_file=str(pin))))
    for _ in range(3):
        with pytest.raises(hsm.HsmUnavailable, match="refused the PIN"):
            await keys.wrap(KEY, CONTEXT)
    assert len(asked) == 1


async def test_a_key_is_generated_once(
    settings: KeysSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    config = Config(keys=replace(settings, hsm_key="once"))
    assert [await generate(config), await generate(config)] == [0, 0]
    assert capsys.readouterr().out.splitlines() == ["generated once", "the token has a key once"]


@pytest.mark.parametrize("missing", ["hsm_token", "hsm_key", "hsm_pin_file"])
def test_a_module_needs_all_its_settings(settings: KeysSettings, missing: str) -> None:
    with pytest.raises(BadConfig, match=f"keys.{missing} is not set"):
        event_wrapper(Config(keys=replace(settings, **{missing: ""})))


def test_a_pin_that_cannot_be_read_is_refused(settings: KeysSettings, tmp_path: Path) -> None:
    gone = replace(settings, hsm_pin_file=str(tmp_path / "gone"))
    with pytest.raises(BadConfig, match="hsm_pin_file"):
        event_wrapper(Config(keys=gone))
