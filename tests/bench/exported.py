"""Exports of any size, with events as the control plane writes them, made without a server."""

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from secaplane.audit.notary.export_folder import ExportFolder, events_path, joined_events
from secaplane.audit.notary.growing_tree import GrowingTree
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.audit.tlog.signed_notes import NoteSigner, SignedNote, sign
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, WIDTH
from secaplane.eventlog.codec import SALT_BYTES, encode
from secaplane.eventlog.subjects import subject
from secaplane.kinds import KINDS
from secaplane.model.events import Updated
from tests.log.new_events import IDS, NOON, REGION, new_event
from tests.rules.tenant_scene import AUDIT_SIGNER
from tests.rules.tlog_scene import ORIGIN, SIGNER, TIME, WITNESSES

STREAM = ORIGIN.rpartition("/")[2]
TENANTS, NAMES = 100, 1000
TAKEN_EVERY = 64
"""Bundles between two times at which the tree is written."""


def events(size: int, *, begin: int = 0) -> Iterator[StoredEvent]:
    """Updates of volumes of many tenants, each with a salt of its own."""
    seeded = random.Random(7)
    for number in range(begin, begin + size):
        tenant = f"t{number % TENANTS}"
        ref = KINDS["block-storage"].ref(IDS | {"tenant": tenant}, f"disk-{number % NAMES}")
        made = replace(
            new_event(ref, Updated(spec={"sizeGB": number, "skuRef": {"resource": "skus/RD500"}})),
            tenant=f"00000000-0000-4000-8000-{number % TENANTS:012}",
            time=NOON + timedelta(milliseconds=number),
            salt=seeded.randbytes(SALT_BYTES),
        )
        yield StoredEvent(subject(ref, REGION), encode(made, STREAM))


def write(folder: Path, size: int, *, begin: int = 0) -> TreeHead:
    """Write an export with a checkpoint that three witnesses have cosigned. `begin`: the number of
    its first event."""
    return write_stream(folder, SIGNER, events(size, begin=begin), size)


def write_stream(
    folder: Path, signer: NoteSigner, some: Iterable[StoredEvent], size: int
) -> TreeHead:
    """Write the export of the stream whose log a signer signs."""
    origin = signer.public.name
    stream = origin.rpartition("/")[2]
    export, chain, tree = ExportFolder(folder / stream), CommitmentChain(stream), GrowingTree()
    bundle = list[StoredEvent]()
    for sequence, each in enumerate(some, 1):
        tree.append(chain.commit(sequence, *each).leaf.written)
        bundle.append(each)
        if len(bundle) == WIDTH or sequence == size:
            export.write(events_path((sequence - 1) // WIDTH), joined_events(bundle))
            bundle.clear()
        if sequence % (WIDTH * TAKEN_EVERY) == 0 or sequence == size:
            for name, data in tree.take().files.items():
                if name.width == WIDTH or sequence == size:
                    export.write(name.path, data)
    head = TreeHead(origin, tree.size, tree.root)
    own = sign(head.text, [signer]).signatures
    cosigned = (each.cosign(head.text, TIME) for each in WITNESSES)
    export.write(CHECKPOINT_PATH, SignedNote(head.text, (*own, *cosigned)).written.encode())
    return head


def write_policy(file: Path, *, audit: bool = False) -> Path:
    """The policy of an auditor, who trusts two of three witnesses. `audit`: with the log of the
    audit stream."""
    lines = [f"log {SIGNER.public.text}"]
    lines += [f"log {AUDIT_SIGNER.public.text}"] if audit else []
    lines += [f"witness w{n} {each.public.text}" for n, each in enumerate(WITNESSES)]
    file.write_text("\n".join([*lines, "group two 2 w0 w1 w2", "quorum two"]))
    return file
