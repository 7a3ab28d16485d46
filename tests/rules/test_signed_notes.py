"""Signed notes, checkpoints and cosignatures, as C2SP specifies them."""

import base64
import hashlib
import struct
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint, parse_tree_head
from secaplane.audit.tlog.cosignatures import (
    COSIGNATURE_ML_DSA_44,
    Cosigner,
    UnsupportedKey,
    cosigned_at,
    note_verifier,
)
from secaplane.audit.tlog.signed_notes import (
    Ed25519Verifier,
    NoteSignature,
    NoteSigner,
    PublicKey,
    SignedNote,
    WrongNote,
    parse_note,
    parse_public_key,
    sign,
    verified,
)
from tests.rules.tlog_scene import ORIGIN, SIGNER, TIME, WITNESSES, checkpoint_of

GO_SIGNING_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp"
    "RZb6KE6RyyBwJnAM=\n"
).encode()
"""The example of the first implementation, golang.org/x/mod/sumdb/note."""
EXAMPLE = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcy"
    "v2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3"
    "b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
"""The example in c2sp.org/tlog-cosignature."""
LOG_KEY = Ed25519Verifier(SIGNER.public)


def test_the_note_of_the_first_implementation_is_written_and_verified() -> None:
    signer, key = NoteSigner.parse(GO_SIGNING_KEY), parse_public_key(GO_KEY)
    note = parse_note(GO_NOTE)
    assert signer.public == key
    assert (signer.secret_text, key.text) == (GO_SIGNING_KEY, GO_KEY)
    assert sign(note.text, [signer]).written.encode() == GO_NOTE
    assert verified(note, [Ed25519Verifier(key)]) == note.signatures


def test_the_checkpoint_of_the_specification_is_read_and_written() -> None:
    head, note = parse_checkpoint(EXAMPLE)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert head.text == note.text
    assert note.written.encode() == EXAMPLE
    log, witness = note.signatures
    assert (log.name, len(log.signature)) == ("example.com/behind-the-sofa", 64)
    assert (witness.name, len(witness.signature)) == ("witness.example.com/w1", 72)
    assert cosigned_at(witness.signature) == 1679315147


def test_a_key_id_is_the_beginning_of_the_hash_of_name_algorithm_and_key() -> None:
    hashed = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + SIGNER.public.key).digest()
    assert SIGNER.public.key_id == hashed[:4]
    hashed = hashlib.sha256(b"witness1.example\n\x04" + WITNESSES[0].public.key).digest()
    assert WITNESSES[0].public.key_id == hashed[:4]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+12345678",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("Peter", "peter"),
        GO_KEY[:-4],
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
        GO_KEY.replace("c74f20a3", "zzzzzzzz"),
    ],
)
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_public_key(text)
    with pytest.raises(ValueError, match=r".+"):
        NoteSigner.parse(f"PRIVATE+KEY+{text}")


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno signature\n",
        GO_NOTE[:-1],
        GO_NOTE + b"\n",
        GO_NOTE.replace(b"then", b"th\x00n"),
        GO_NOTE.replace(b"then", b"th\xffn"),
        GO_NOTE.replace(b"nAM=", b"nAN="),
        GO_NOTE.replace(b"nAM=", b"nAM"),
        GO_NOTE.replace("— P".encode(), b"- P"),
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAA=\n" * 101,
    ],
)
def test_a_malformed_note_is_refused(note: bytes) -> None:
    with pytest.raises(WrongNote):
        parse_note(note)


def test_signatures_of_unknown_keys_are_ignored_and_wrong_ones_of_known_keys_are_not() -> None:
    note = parse_note(GO_NOTE)
    assert verified(note, [LOG_KEY]) == ()
    (signature,) = note.signatures
    wrong = signature._replace(signature=bytes(64))
    with pytest.raises(WrongNote, match="PeterNeumann is wrong"):
        verified(SignedNote(note.text, (wrong,)), [Ed25519Verifier(parse_public_key(GO_KEY))])
    same_name = NoteSignature(wrong.name, b"none", wrong.signature)
    both = SignedNote(note.text, (same_name, signature))
    assert verified(both, [Ed25519Verifier(parse_public_key(GO_KEY))]) == (signature,)


@given(st.integers(0, len(GO_NOTE) - 1), st.integers(1, 255))
def test_a_note_with_any_changed_byte_is_no_longer_verified(at: int, change: int) -> None:
    changed = GO_NOTE[:at] + bytes([GO_NOTE[at] ^ change]) + GO_NOTE[at + 1 :]
    with suppress(WrongNote):
        assert verified(parse_note(changed), [Ed25519Verifier(parse_public_key(GO_KEY))]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "origin\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqo\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nmore\n",
    ],
)
def test_a_malformed_tree_head_is_refused(text: str) -> None:
    with pytest.raises(WrongNote):
        parse_tree_head(text)


def test_extension_lines_of_a_tree_head_are_kept() -> None:
    head = TreeHead(ORIGIN, 0, bytes(32), ("one", "two"))
    assert parse_tree_head(head.text) == head


def test_a_checkpoint_is_signed_by_the_log_and_cosigned_by_witnesses() -> None:
    _, note = checkpoint_of([b"a", b"b"], witnesses=WITNESSES)
    keys = [LOG_KEY, *(note_verifier(each.public) for each in WITNESSES)]
    assert verified(note, keys) == note.signatures
    _, cosignature, *_ = note.signatures
    message = f"cosignature/v1\ntime {TIME}\n{note.text}".encode()
    WITNESSES[0]._key.public_key().verify(cosignature.signature[8:], message)
    later = struct.pack(">Q", TIME + 1) + cosignature.signature[8:]
    with pytest.raises(WrongNote):
        verified(SignedNote(note.text, (cosignature._replace(signature=later),)), keys)


def test_a_cosignature_with_ml_dsa_44_covers_name_time_origin_size_and_root() -> None:
    key, name = MLDSA44PrivateKey.generate(), "large.example"
    public = PublicKey(name, COSIGNATURE_ML_DSA_44, key.public_key().public_bytes_raw())
    head, note = checkpoint_of([b"a", b"b", b"c"])
    message = (
        b"subtree/v1\n\0"
        + bytes([len(name)])
        + name.encode()
        + TIME.to_bytes(8, "big")
        + bytes([len(ORIGIN)])
        + ORIGIN.encode()
        + bytes(8)
        + (3).to_bytes(8, "big")
        + head.root
    )
    signature = TIME.to_bytes(8, "big") + key.sign(message)
    line = NoteSignature(name, public.key_id, signature)
    verifier = note_verifier(parse_public_key(public.text))
    assert verified(SignedNote(note.text, (line,)), [verifier]) == (line,)
    other = TreeHead(ORIGIN, 4, head.root).text
    with pytest.raises(WrongNote):
        verified(SignedNote(other, (line,)), [verifier])
    with pytest.raises(WrongNote):
        verified(SignedNote(note.text, (line._replace(signature=signature[:-1]),)), [verifier])


def test_a_key_of_an_unknown_type_is_named() -> None:
    with pytest.raises(UnsupportedKey, match=r"other\.example"):
        note_verifier(PublicKey("other.example", 0x02, bytes(32)))


def test_only_texts_of_notes_are_signed() -> None:
    for text in ("no newline", "carriage\r\n"):
        with pytest.raises(ValueError, match="newline"):
            sign(text, [SIGNER])


def test_a_cosigner_has_another_key_id_than_a_log_with_the_same_key() -> None:
    seed = hashlib.sha256(b"one key").digest()
    log, cosigner = NoteSigner("same.example", seed), Cosigner("same.example", seed)
    assert log.public.key == cosigner.public.key
    assert log.public.key_id != cosigner.public.key_id
    assert base64.b64encode(b"\x04" + cosigner.public.key).decode() in cosigner.public.text
