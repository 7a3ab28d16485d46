"""Cosignatures of witnesses for the checkpoints of one log: submits, gathers, and publishes each
checkpoint that reaches the quorum of a policy.

Rounds: all witnesses that are idle are asked about the same checkpoint. A slow one delays no round,
and is asked again when it has answered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from secaplane.audit.merkle.proofs import prove_consistency
from secaplane.audit.tlog.checkpoints import SignedCheckpoint
from secaplane.audit.tlog.policies import TlogPolicy, TrustedKey
from secaplane.audit.tlog.signed_notes import SignedNote, WrongNote
from secaplane.audit.tlog.tile_tree import ReadTile, TileTree
from secaplane.audit.tlog.tiles import TilesDiffer
from secaplane.audit.tlog.witness_protocol import (
    COSIGNED,
    OTHER_SIZE,
    PATH,
    AddCheckpoint,
    cosigned,
)

ROUND_S_MAX = 1.0
ATTEMPTS = 3
"""With one witness in one round: OTHER_SIZE is answered with the size to prove from."""
SIZE_DIGITS_MAX = 19
UNAVAILABLE: tuple[type[Exception], ...] = (OSError, TimeoutError)

Post = Callable[[str, bytes], Awaitable[tuple[int, str]]]
"""(URL, body) -> status and body; raises OSError or TimeoutError. Bounded in time and bytes."""


class WitnessLink:
    """One witness, and the size of the tree that it cosigned last."""

    def __init__(self, name: str, witness: TrustedKey, read: ReadTile, post: Post) -> None:
        self.name, self._witness, self._read, self._post = name, witness, read, post
        self._old = 0
        self.remark = ""
        """The cause for which it has not cosigned the last checkpoint."""

    async def submit(self, checkpoint: SignedCheckpoint) -> SignedNote | None:
        """The checkpoint with the cosignature of this witness; None if it gave none."""
        try:
            note, self.remark = await self._submit(checkpoint), ""
            return note
        except UNAVAILABLE as error:
            self.remark = f"{self.name} does not answer: {type(error).__name__}"
        except WrongNote as error:
            self.remark = f"{self.name} refuses: {error}"
        except TilesDiffer as error:
            self.remark = f"no proof for {self.name}: {error}"
        return None

    async def _submit(self, checkpoint: SignedCheckpoint) -> SignedNote:
        size = checkpoint.head.size
        for _ in range(ATTEMPTS):
            if self._old > size:
                known, self._old = self._old, 0  # the next round asks it again
                raise WrongNote(f"it has cosigned a tree of {known}, this one has {size}")
            proof = await asyncio.to_thread(self._proof, self._old, size)
            request = AddCheckpoint(self._old, tuple(proof), checkpoint)
            url = f"{self._witness.url.rstrip('/')}/{PATH}"
            status, body = await self._post(url, request.written)
            if status == COSIGNED:
                note = cosigned(checkpoint.note, body, [self._witness.verifier])
                self._old = size
                return note
            said = body.strip()
            if status != OTHER_SIZE or not said.isdecimal() or len(said) > SIZE_DIGITS_MAX:
                raise WrongNote(f"{status} {said[:200]}")
            if int(said) == self._old:
                raise WrongNote(f"it has cosigned another tree of {said}")
            self._old = int(said)
        raise WrongNote("its size changes with every answer: another log submits to it")

    def _proof(self, old: int, size: int) -> list[bytes]:
        return prove_consistency(TileTree(self._read, size).subtree, old, size)


class Cosigning:
    """The witnesses of one log. `publish` gets each checkpoint that has reached the quorum, with
    every cosignature that is there by then."""

    def __init__(
        self,
        policy: TlogPolicy,
        links: Mapping[str, WitnessLink],
        publish: Callable[[SignedNote], Awaitable[None]],
    ) -> None:
        self._policy, self._links, self._publish = policy, links, publish
        self._group = asyncio.TaskGroup()
        self._busy = dict[str, asyncio.Task[SignedNote | None]]()
        self.size = 0
        """Of the newest tree that the quorum has cosigned."""

    @property
    def remarks(self) -> list[str]:
        return [each.remark for each in self._links.values() if each.remark]

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Rounds are possible inside; at the end nothing is asked any more."""
        async with asyncio.TaskGroup() as self._group:
            yield
            for task in self._busy.values():
                task.cancel()

    async def round(self, checkpoint: SignedCheckpoint) -> bool:
        """Ask every idle witness about a checkpoint; True when the quorum has cosigned it. Returns
        at the latest after ROUND_S_MAX."""
        asked = {
            name: self._group.create_task(link.submit(checkpoint))
            for name, link in self._links.items()
            if (busy := self._busy.get(name)) is None or busy.done()
        }
        self._busy |= asked
        waiting, reached = set(asked.values()), False
        deadline = asyncio.get_running_loop().time() + ROUND_S_MAX
        while waiting and not reached:
            left = deadline - asyncio.get_running_loop().time()
            done, waiting = await asyncio.wait(
                waiting, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            reached = await self._gathered(checkpoint, asked)
        return reached

    async def _gathered(
        self, checkpoint: SignedCheckpoint, asked: Mapping[str, asyncio.Task[SignedNote | None]]
    ) -> bool:
        notes = {name: task.result() for name, task in asked.items() if task.done()}
        present = tuple(name for name, note in notes.items() if note is not None)
        if not self._policy.reached(present):
            return False
        own = checkpoint.note.signatures
        added = [
            line
            for note in notes.values()
            if note is not None
            for line in note.signatures
            if line not in own
        ]
        await self._publish(SignedNote(checkpoint.note.text, (*own, *added)))
        self.size = checkpoint.head.size
        return True
