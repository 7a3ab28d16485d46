"""The leaf of an event: the format that every proof depends on, heads and receipts."""

import base64
import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secaplane.audit.merkle.proofs import WrongProof
from secaplane.audit.notary.leaves import (
    FIRST_PREVIOUS,
    CommitmentChain,
    LeafEntry,
    WrongLeaf,
    facts_of,
    parse_extra,
    parse_leaf,
)
from secaplane.audit.notary.receipts import receipt, verify_receipt
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tlog_proofs import parse_proof
from secaplane.eventlog.codec import encode
from secaplane.model.events import Updated
from tests.log.new_events import DISK, SPEC, new_event
from tests.rules.tlog_scene import SIGNER, WITNESSES, bytes_of, checkpoint_of

SUBJECT = "seca.eu-1.5a.tenants.acme"


def stored(tenant: str, number: int = 0) -> bytes:
    salt = base64.b64encode(b"salt of %d" % number).decode()
    return json.dumps(
        {"v": 2, "tenant": tenant, "time": "2026-03-01T10:00:00.125Z", "salt": salt, "n": number}
    ).encode()


def test_a_leaf_has_the_bytes_that_the_format_says() -> None:
    """Computed step by step, with nothing of the product."""
    chain = CommitmentChain("SECA")
    first, second, other = stored("life-1", 1), stored("life-1", 2), stored("life-2", 3)
    leaves = [
        chain.commit(sequence, SUBJECT, each).leaf
        for sequence, each in ((1, first), (2, second), (3, other))
    ]
    digests = [
        hashlib.sha256(b"secaplane/event/v1\n" + SUBJECT.encode() + b"\n" + each).digest()
        for each in (first, second, other)
    ]
    begin = b"secaplane/commitment/v1\n"
    one = hashlib.sha256(begin + (1).to_bytes(8, "big") + bytes(32) + digests[0]).digest()
    two = hashlib.sha256(begin + (2).to_bytes(8, "big") + one + digests[1]).digest()
    three = hashlib.sha256(begin + (1).to_bytes(8, "big") + bytes(32) + digests[2]).digest()
    assert [each.commitment for each in leaves] == [one, two, three]
    text = base64.b64encode(two).decode()
    assert leaves[1].written.decode() == f"secaplane/leaf/v1\nSECA\n2\n1772359200125\n{text}\n"
    assert leaves[1].written == GOLDEN


GOLDEN = (
    b"secaplane/leaf/v1\nSECA\n2\n1772359200125\nIRzUUG4CcDMN64+mJoWOudS+MNyM55vjk9TX9X1BHrA=\n"
)
"""Never changes: it is in the roots that were signed."""


@pytest.mark.parametrize(
    ("changed", "of"),
    [("subject", "event"), ("bytes", "event"), ("life", "life"), ("order", "life")],
)
def test_a_commitment_changes_with_what_it_commits_to(changed: str, of: str) -> None:
    plain, other = CommitmentChain("SECA"), CommitmentChain("SECA")
    events = [(SUBJECT, stored("life-1", 1)), (SUBJECT, stored("life-1", 2))]
    match changed:
        case "subject":
            others = [(f"{SUBJECT}x", events[0][1]), events[1]]
        case "bytes":
            others = [(SUBJECT, events[0][1] + b" "), events[1]]
        case "life":
            others = [(SUBJECT, stored("life-2", 1)), events[1]]
        case _:
            others = events[::-1]
    for number, (one, two) in enumerate(zip(events, others, strict=True), 1):
        one_leaf, two_leaf = plain.commit(number, *one).leaf, other.commit(number, *two).leaf
        assert one_leaf.commitment != two_leaf.commitment, of


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"time": "yesterday", "tenant": "life-1"}',
        b'{"time": "2026-03-01T10:00:00", "tenant": "life-1"}',
        b'{"time": "2026-03-01T10:00:00Z", "tenant": 7}',
        b'{"time": "2026-03-01T10:00:00Z", "tenant": "\xff"}',
        b'{"time": "2026-03-01T10:00:00Z", "tenant": "life-1"',
        b'{"time": "2026-03-01T10:00:00Z", "tenant": "life-1", "other": ["\xff"]}',
        b'{"time": "2026-03-01T10:00:00Z", "tenant": "life-1", "\xc3": 1}',
        rb'{"time": "2026-03-01T10:00:00Z", "tenant": "life-1", "other": "\ud800"}',
    ],
)
def test_an_unreadable_event_belongs_to_the_life_without_a_tenant_and_has_no_time(
    data: bytes,
) -> None:
    assert facts_of(data) == ("", 0, b"")
    chain = CommitmentChain("SECA")
    for sequence in (1, 2):
        event = chain.commit(sequence, SUBJECT, data)
        assert (event.life, event.number, event.leaf.ms) == ("", sequence, 0)
    assert event.leaf.commitment is not None


def test_an_event_without_a_tenant_has_a_time() -> None:
    assert facts_of(b'{"time": "2026-03-01T10:00:00.1+01:00"}') == ("", 1772355600100, b"")
    assert facts_of(b'{"time": "1960-01-01T00:00:00Z"}').ms == 0


def test_an_event_of_the_codec_is_readable() -> None:
    made = replace(new_event(DISK, Updated(spec=SPEC)), tenant="life-1")
    facts = facts_of(encode(made, "SECA"))
    assert (facts.life, facts.salt) == (made.tenant, made.salt)
    assert facts.ms == made.time.timestamp() * 1000


def test_a_lost_event_has_a_leaf_of_its_own_form_and_no_chain_counts_it() -> None:
    chain = CommitmentChain("SECA")
    first = chain.commit(1, SUBJECT, stored("life-1"))
    lost = chain.lose(2)
    third = chain.commit(3, SUBJECT, stored("life-1"))
    assert lost.written == b"secaplane/leaf/v1\nSECA\n2\n0\nlost\n"
    assert parse_leaf(lost.written) == lost
    assert (third.number, third.previous) == (2, first.leaf.commitment)


def test_a_leaf_is_small_and_names_neither_tenant_nor_salt() -> None:
    chain = CommitmentChain("SECA-GLOBAL-audit-12")
    event = chain.commit(99_999_999_999, SUBJECT, stored("life-1"))
    assert len(event.leaf.written) <= 110
    for secret in (b"life-1", b"acme", b"salt of"):
        assert secret not in event.leaf.written


@given(
    st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
    st.integers(1, 2**63),
    st.integers(0, 2**48),
    st.binary(min_size=32, max_size=32),
)
def test_a_leaf_is_read_from_its_bytes(stream: str, sequence: int, ms: int, last: bytes) -> None:
    leaf = LeafEntry(stream, sequence, ms, last)
    assert parse_leaf(leaf.written) == leaf


@given(st.data())
def test_a_changed_leaf_is_another_leaf_or_none(data: st.DataObject) -> None:
    leaf = CommitmentChain("SECA").commit(7, SUBJECT, stored("life-1")).leaf
    at = data.draw(st.integers(0, len(leaf.written) - 1))
    flipped = bytes([leaf.written[at] ^ data.draw(st.integers(1, 255))])
    with suppress(WrongLeaf):
        assert parse_leaf(leaf.written[:at] + flipped + leaf.written[at + 1 :]) != leaf


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"secaplane/leaf/v1\nSECA\n0\n0\nlost\n",
        b"secaplane/leaf/v1\nSECA\n1\n5\nlost\n",
        b"secaplane/leaf/v1\nSECA\n01\n0\nlost\n",
        b"secaplane/leaf/v2\nSECA\n1\n0\nlost\n",
        b"secaplane/leaf/v1\nSECA\n1\n0\nlost\n\n",
        b"secaplane/leaf/v1\nSECA\n1\n0\n" + b"A" * 42 + b"B=\n",
    ],
)
def test_a_malformed_leaf_is_refused(entry: bytes) -> None:
    with pytest.raises(WrongLeaf):
        parse_leaf(entry)


@given(st.lists(st.tuples(st.sampled_from(["", "life-1", "life-2"]), st.binary(max_size=9))))
def test_many_leaves_at_once_are_those_of_one_after_the_other(
    some: list[tuple[str, bytes]],
) -> None:
    made = [(SUBJECT, stored(life, len(data)) if life else data) for life, data in some]
    single, several = CommitmentChain("SECA"), CommitmentChain("SECA")
    for first, end in ((0, len(made) // 2), (len(made) // 2, len(made))):
        part = made[first:end]
        leaves, moved = several.leaves_of(first + 1, part)
        several.adopt(moved)
        assert leaves == [
            single.commit(first + n, *each).leaf.written for n, each in enumerate(part, 1)
        ]
        assert dict(several.heads) == dict(single.heads)


def test_a_chain_goes_on_from_stored_heads() -> None:
    whole = CommitmentChain("SECA")
    for sequence in range(1, 6):
        whole.commit(sequence, SUBJECT, stored(f"life-{sequence % 2}", sequence))
    later = CommitmentChain("SECA", whole.heads)
    sixth = SUBJECT, stored("life-0", 6)
    assert whole.commit(6, *sixth) == later.commit(6, *sixth)


# --- receipts

EVENTS = [stored(f"life-{number % 3}", number) for number in range(300)]
CHAIN = CommitmentChain("SECA")
COMMITTED = [CHAIN.commit(at + 1, SUBJECT, each) for at, each in enumerate(EVENTS)]
LEAVES = [each.leaf.written for each in COMMITTED]
POLICY = parse_policy(
    "\n".join(
        [
            f"log {SIGNER.public.text}",
            *(f"witness {n} {each.public.text}" for n, each in enumerate(WITNESSES)),
            "group two 2 0 1 2",
            "quorum two",
        ]
    )
)
CHECKPOINT = checkpoint_of(LEAVES, witnesses=WITNESSES)


@pytest.mark.parametrize("index", [0, 1, 17, 255, 256, 299])
def test_a_receipt_proves_one_event_and_no_other(index: int) -> None:
    made = receipt(COMMITTED[index], lambda name: bytes_of(name, LEAVES), CHECKPOINT)
    read = parse_proof(made.written)
    checked, leaf = verify_receipt(
        read, POLICY, stream="SECA", subject=SUBJECT, stored=EVENTS[index]
    )
    assert (leaf, checked.witnesses) == (COMMITTED[index].leaf, ("0", "1", "2"))
    assert parse_extra(read.extra) == (COMMITTED[index].number, COMMITTED[index].previous)
    scenes = (
        ("SECA", SUBJECT, EVENTS[index] + b" "),
        ("SECA", f"{SUBJECT}x", EVENTS[index]),
        ("OTHER", SUBJECT, EVENTS[index]),
        ("SECA", SUBJECT, EVENTS[index - 1]),
    )
    for stream, subject, data in scenes:
        with pytest.raises(WrongProof):
            verify_receipt(read, POLICY, stream=stream, subject=subject, stored=data)
    for extra in (b"", read.extra[:-1] + b"x", (9).to_bytes(8, "big") + FIRST_PREVIOUS):
        with pytest.raises(WrongProof):
            verify_receipt(
                read._replace(extra=extra),
                POLICY,
                stream="SECA",
                subject=SUBJECT,
                stored=EVENTS[index],
            )


def test_a_receipt_without_the_quorum_is_refused() -> None:
    alone = checkpoint_of(LEAVES, witnesses=WITNESSES[:1])
    made = receipt(COMMITTED[0], lambda name: bytes_of(name, LEAVES), alone)
    with pytest.raises(WrongNote, match="quorum"):
        verify_receipt(made, POLICY, stream="SECA", subject=SUBJECT, stored=EVENTS[0])


WRITTEN_FILES = Path(__file__).parent.parent / "golden"
WRITTEN = sorted(
    file for folder in (".", "audit", "sealed") for file in (WRITTEN_FILES / folder).glob("*.json")
)


@pytest.mark.parametrize("file", WRITTEN, ids=lambda each: each.stem)
def test_a_leaf_has_the_time_of_every_event_and_entry_that_was_ever_written(file: Path) -> None:
    """Leaves never change: an event or entry whose fields the rule cannot read would have the time
    0 in it for ever."""
    assert facts_of(file.read_bytes()).ms > 0
