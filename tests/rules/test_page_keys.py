"""Page tokens have keys of their own, and a reader without the keyring of secrets shows none."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from secaplane.cli.config import Config, read
from secaplane.cli.processes.connections import page_keys
from secaplane.cli.processes.serve import _refuse_to_open
from secaplane.cli.settings import BadConfig, SecretsSettings
from secaplane.kinds import KINDS
from secaplane.model.errors import Unavailable
from secaplane.model.position import Position
from secaplane.model.shape import Ref
from secaplane.query.by_name import ByName
from secaplane.query.pages import after, skip_token
from secaplane.query.read import ReadDependencies, get
from secaplane.readmodel.batching import FoundDocument
from secaplane.sealing.sealer import Keyring
from tests.scenario import IDS

ONE = ("one", 7)


def written(path: Path, current: str, *names: str) -> Keyring:
    keyring = Keyring(
        current, {each: base64.b64encode(each.encode() * 16).decode() for each in names}
    )
    path.write_bytes(msgspec.json.encode(keyring))
    return keyring


def keys(path: Path) -> Sequence[bytes]:
    return page_keys(Config(secrets=SecretsSettings(page_keyring=str(path))))


def test_the_current_key_signs_and_the_former_one_verifies_until_it_is_removed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pages.json"
    written(file, "p1", "p1")
    token = skip_token(ONE, "list", keys(file))
    written(file, "p2", "p1", "p2")
    assert after(token, "list", keys(file)) == ONE
    later = skip_token(ONE, "list", keys(file))
    assert later != token
    written(file, "p2", "p2")
    assert after(later, "list", keys(file)) == ONE
    with pytest.raises(Exception, match="does not belong to this list"):
        after(token, "list", keys(file))


def test_page_tokens_need_their_own_keyring_not_the_one_of_secrets(tmp_path: Path) -> None:
    file = tmp_path / "keyring.json"
    written(file, "k1", "k1")
    with pytest.raises(BadConfig, match="page_keyring is not set"):
        page_keys(Config(secrets=SecretsSettings(keyring=str(file))))
    both = {"SECAPLANE_SECRETS_KEYRING": str(file), "SECAPLANE_SECRETS_PAGE_KEYRING": str(file)}
    with pytest.raises(BadConfig, match="another file"):
        read(None, both)


class _OneRow:
    """Stands for `ByName`."""

    def __init__(self, document: str) -> None:
        self._found = FoundDocument(document, "u", "t", "SECA", 1, False)

    def stream(self, kind: str) -> str:
        return "SECA"

    async def living(self, ref: Ref, required: Position) -> FoundDocument:
        return self._found


async def test_a_reader_without_the_keyring_answers_503_for_a_resource_with_secrets() -> None:
    shown = {}
    for name, spec in (("with", {"userData": "sealed:k1:a:b"}), ("without", {})):
        document = msgspec.json.encode({"metadata": {"name": name}, "spec": spec}).decode()
        reader = ReadDependencies(
            lists=cast(Any, None),
            by_name=cast(ByName, _OneRow(document)),
            opening=_refuse_to_open,
            page_keys=[b"k"],
        )
        shown[name] = get(reader, KINDS["instance"], IDS | {"name": name})
    assert b"without" in (await shown["without"]).document
    with pytest.raises(Unavailable, match="no keyring"):
        await shown["with"]
