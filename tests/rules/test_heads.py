"""The tree over the heads of all tenant lives: every head has a proof, and hides its tenant."""

import base64
import hashlib
from collections.abc import Mapping

import pytest

from secaplane.audit.heads.tree import (
    HeadsTree,
    head_text,
    heads_of_life,
    heads_tree,
    life_hash,
)
from secaplane.audit.merkle.proofs import WrongProof
from secaplane.audit.notary.leaves import FIRST_PREVIOUS, CommitmentChain, LifeHead
from tests.rules import small_trees
from tests.rules.test_leaves import SUBJECT, stored


def heads_of(lives: int) -> Mapping[str, LifeHead]:
    chain = CommitmentChain("SECA")
    for number in range(3 * lives):
        chain.commit(number + 1, SUBJECT, stored(f"life-{number % lives}", number))
    return chain.heads


@pytest.mark.parametrize("lives", [1, 2, 3, 8, 13])
def test_every_head_is_proved_and_no_other(lives: int) -> None:
    heads = heads_of(lives)
    tree = heads_tree({"SECA": heads})
    assert tree.size == lives
    assert tree.root == small_trees.mth(sorted(tree.heads))
    for uid, head in heads.items():
        life = life_hash(uid, head.salt)
        text = head_text(life, "SECA", head.number, head.commitment)
        assert [*heads_of_life(uid, {"SECA": heads})] == [("SECA", 3, text)]
        tree.prove(text).verify(text, tree.root)
        earlier = head_text(life, "SECA", head.number - 1, head.commitment)
        with pytest.raises(WrongProof):
            tree.prove(text).verify(earlier, tree.root)
        with pytest.raises(KeyError):
            tree.prove(earlier)


def test_heads_hide_the_tenant_from_who_lacks_the_salt() -> None:
    (head,) = heads_of(1).values()
    text = head_text(life_hash("life-0", head.salt), "SECA", head.number, head.commitment)
    assert b"life-0" not in text
    hashed = hashlib.sha256(b"secaplane/life/v1\nlife-0\nsalt of 0").digest()
    assert life_hash("life-0", head.salt) == hashed
    assert base64.b64encode(hashed) in text


def test_heads_do_not_depend_on_the_order_in_which_lives_began() -> None:
    heads = [*heads_tree({"SECA": heads_of(5)}).heads]
    assert HeadsTree(heads).root == HeadsTree(heads[::-1]).root
    assert HeadsTree([]).size == 0


def test_a_life_has_a_head_in_every_stream_so_that_none_can_be_hidden_as_empty() -> None:
    """The salt is that of the first stream, by name, in which the life has an event."""
    chains = {"SECA": heads_of(2), "GLOBAL": {"life-1": LifeHead(4, bytes(range(32)), b"other")}}
    assert heads_tree(chains).size == 4
    salts = {"life-0": chains["SECA"]["life-0"].salt, "life-1": b"other"}
    for uid, number in (("life-0", 0), ("life-1", 4)):
        committed = FIRST_PREVIOUS if not number else bytes(range(32))
        own = [*heads_of_life(uid, chains)]
        text = head_text(life_hash(uid, salts[uid]), "GLOBAL", number, committed)
        assert own[0] == ("GLOBAL", number, text)
        assert [(stream, count) for stream, count, _ in own] == [("GLOBAL", number), ("SECA", 3)]
