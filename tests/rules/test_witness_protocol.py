"""The witness protocol: a witness cosigns only what extends the tree that it cosigned last."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.audit.merkle.proofs import prove_consistency
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.audit.tlog.cosignatures import note_verifier
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.signed_notes import Ed25519Verifier, NoteSigner, WrongNote
from secaplane.audit.tlog.tile_tree import TileTree
from secaplane.audit.tlog.witness_protocol import (
    AddCheckpoint,
    WitnessAnswer,
    WrongRequest,
    answer,
    cosigned,
    parse_request,
)
from tests.rules.tlog_scene import ORIGIN, SIGNER, TIME, WITNESSES, bytes_of, checkpoint_of

ENTRIES = [b"entry %d" % number for number in range(300)]
FORKED = [*ENTRIES[:50], b"forked", *ENTRIES[51:]]
LOGS = {ORIGIN: [Ed25519Verifier(SIGNER.public)]}


def request(old: int, entries: Sequence[bytes]) -> AddCheckpoint:
    tree = TileTree(lambda name: bytes_of(name, entries), len(entries))
    proof = prove_consistency(tree.subtree, old, len(entries))
    return AddCheckpoint(old, tuple(proof), checkpoint_of(entries))


def asked(made: AddCheckpoint, latest: TreeHead | None) -> WitnessAnswer:
    again = parse_request(made.written)
    assert again == made
    return answer(again, LOGS, latest, WITNESSES[:1], time=TIME)


def test_a_witness_cosigns_a_log_that_grows_and_the_policy_accepts_it() -> None:
    latest: TreeHead | None = None
    for size in (1, 2, 100, 256, 257, 300, 300):
        made = request(latest.size if latest else 0, ENTRIES[:size])
        status, body, latest = asked(made, latest)
        assert (status, latest) == (200, made.checkpoint.head)
    note = cosigned(made.checkpoint.note, body, [note_verifier(WITNESSES[0].public)])
    lines = [f"log {SIGNER.public.text}", f"witness one {WITNESSES[0].public.text}", "quorum one"]
    policy = parse_policy("\n".join(lines))
    assert policy.verify(made.checkpoint._replace(note=note)).witnesses == ("one",)
    assert cosigned(note, body, [note_verifier(WITNESSES[0].public)]) == note


def test_a_forged_fork_is_refused() -> None:
    latest = checkpoint_of(ENTRIES[:100]).head
    assert asked(request(100, FORKED), latest).status == 422
    assert asked(request(100, FORKED[:100]), latest) == (409, "100\n", None)
    assert asked(request(0, FORKED), latest) == (409, "100\n", None)


def test_a_rollback_is_refused() -> None:
    latest = checkpoint_of(ENTRIES[:100]).head
    assert asked(request(40, ENTRIES[:80]), latest) == (409, "100\n", None)
    older = request(0, ENTRIES[:80])._replace(old=100)
    assert asked(older, latest).status == 400


def test_an_unknown_log_and_an_unknown_key_are_refused() -> None:
    other = request(0, ENTRIES)._replace(checkpoint=checkpoint_of(ENTRIES, origin="other.example"))
    assert asked(other, None).status == 404
    signer = NoteSigner(ORIGIN, bytes(32))
    unsigned = request(0, ENTRIES)._replace(checkpoint=checkpoint_of(ENTRIES, signers=[signer]))
    assert asked(unsigned, None).status == 403
    note = checkpoint_of(ENTRIES).note
    (line,) = note.signatures
    wrong = note._replace(signatures=(line._replace(signature=bytes(64)),))
    forged = checkpoint_of(ENTRIES)._replace(note=wrong)
    assert asked(request(0, ENTRIES)._replace(checkpoint=forged), None).status == 403


def test_a_proof_that_is_not_needed_is_refused() -> None:
    made = request(0, ENTRIES)._replace(proof=(bytes(32),))
    assert asked(made, None).status == 422


@given(st.integers(1, 299), st.integers(0, 20), st.integers(0, 31))
def test_a_changed_proof_is_refused(old: int, place: int, at: int) -> None:
    made = request(old, ENTRIES)
    hashes = list(made.proof)
    changed = bytearray(hashes[place % len(hashes)])
    changed[at] ^= 1
    hashes[place % len(hashes)] = bytes(changed)
    latest = checkpoint_of(ENTRIES[:old]).head
    assert asked(made._replace(proof=tuple(hashes)), latest).status == 422


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 1\n",
        request(0, ENTRIES).written.replace(b"old 0", b"old 00"),
        request(0, ENTRIES).written.replace(b"old 0", b"new 0"),
        request(0, ENTRIES).written[:-1],
        request(9, ENTRIES).written.replace(b"old 9\n", b"old 9\nAAAA\n"),
        b"old 0\n" + b"A" * 43 + b"=\n" * 64 + request(0, ENTRIES).written[6:],
    ],
)
def test_a_malformed_request_is_refused(data: bytes) -> None:
    with pytest.raises(WrongRequest):
        parse_request(data)


def test_only_known_witnesses_count_and_a_wrong_cosignature_is_refused() -> None:
    note = checkpoint_of(ENTRIES).note
    body = WITNESSES[0].cosign(note.text, TIME).line
    with pytest.raises(WrongNote, match="no cosignature"):
        cosigned(note, body, [note_verifier(WITNESSES[1].public)])
    with pytest.raises(WrongNote, match="is wrong"):
        cosigned(
            note, WITNESSES[0].cosign("other", TIME).line, [note_verifier(WITNESSES[0].public)]
        )
    with pytest.raises(WrongNote):
        cosigned(note, "no line\n", [note_verifier(WITNESSES[0].public)])
