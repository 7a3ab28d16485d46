"""Writes that were answered before the rows reached them, announced over core NATS to every process
that reads. While the projector keeps up and all readers read the same database, there are none.

Readers confirm them, and a write is answered when all have. One that does not confirm, because its
broker or itself was lost or stopped, relies on what it was notified of no longer than ASKED_S_MAX
after it asked for the end of the log (`readmodel.known_writes`): the write is answered after that.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.model.position import Position, position
from secaplane.model.shape import Ref
from secaplane.readmodel.known_writes import ASKED_S_MAX
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.readers import SUBJECT, Readers

DELIVERED_S_MAX = 0.2
CONFIRMED_S_MAX = ASKED_S_MAX + DELIVERED_S_MAX
"""After an append. A reader that asked for the end of the log before it asks for it again by then,
or no longer relies on what it was notified of."""
CONFIRMED = f"{SUBJECT}.confirmed"
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


class Confirmations:
    """Messages of one process that readers have to confirm. Pure."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._missing: dict[int, set[str]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def expect(self, readers: Iterable[str]) -> int:
        """The number of a message that these readers have to confirm."""
        number = next(self._numbers)
        self._missing[number] = set(readers)
        return number

    def confirmed(self, reader: str, number: int) -> None:
        missing = self._missing.get(number)
        if missing is not None:
            missing.discard(reader)
            self._wake(number)

    def left(self, reader: str) -> None:
        """A reader that has ended confirms nothing, and answers nothing."""
        for number, missing in self._missing.items():
            missing.discard(reader)
            self._wake(number)

    async def complete(self, numbers: Sequence[int], until: float) -> bool:
        """Wait until all have confirmed; False if some have not at a time of the event loop."""
        try:
            async with asyncio.timeout_at(until):
                for number in numbers:
                    if self._missing[number]:
                        waiting = asyncio.get_running_loop().create_future()
                        self._waiting[number] = waiting
                        await waiting
            return True
        except TimeoutError:
            return False
        finally:
            for number in numbers:
                self._missing.pop(number, None)
                self._waiting.pop(number, None)

    def _wake(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done() and not self._missing[number]:
            waiting.set_result(None)


class Acknowledgements:
    """`id` names this process, as a writer and as a reader."""

    def __init__(
        self, nats: Client, progress: Progress, readers: Readers, *, new_id: Callable[[], str]
    ) -> None:
        self._nats, self._progress, self.readers = nats, progress, readers
        self.id, self._listening, self._confirms = new_id(), False, False
        self._confirmations = Confirmations()
        readers.on_leave = self._confirmations.left

    async def publish(
        self,
        ref: Ref,
        tenants: Sequence[str],
        positions: Sequence[Position],
        *,
        appended_at: float,
        elsewhere: bool,
    ) -> None:
        """Let this process know of a write at once, and the others before it is answered. `ref`:
        the resource; `tenants`: those whose lists show the write; `appended_at`: a time of the
        event loop after its append; `elsewhere`: only readers of other rows have to know."""
        acknowledged = [(tenant, each) for tenant in tenants for each in positions]
        for tenant, each in acknowledged:
            self._progress.acknowledge(each, tenant, ref)
        readers = self.readers.present(elsewhere=elsewhere) - {self.id}
        numbers = list[int]()
        with suppress(*_UNREACHABLE):
            for tenant, each in acknowledged:
                numbers.append(self._confirmations.expect(readers))
                await self._nats.publish(
                    _subject(each.stream),
                    f"{each.sequence} {tenant} {ref.kind} {ref.path}".encode(),
                    reply=f"{CONFIRMED}.{self.id}.{numbers[-1]}",
                )
            if not readers:  # some may be unknown yet
                async with asyncio.timeout(DELIVERED_S_MAX):
                    await self._nats.flush()
        await self._confirmations.complete(numbers, appended_at + CONFIRMED_S_MAX)

    async def listen(self, streams: Sequence[str]) -> None:
        """Take what other processes acknowledge; once, however often it is called."""
        if not self._listening:
            for stream in streams:
                await self._nats.subscribe(_subject(stream), cb=self._acknowledged)
            self._listening = True

    def confirm(self) -> None:
        """Confirm what this process is notified of: it is a reader. Called before it announces its
        presence."""
        self._confirms = True

    async def listen_to_readers(self) -> None:
        """For processes that accept writes."""
        await self.readers.listen(self._nats)
        await self._nats.subscribe(f"{CONFIRMED}.{self.id}.*", cb=self._confirmed)

    async def _acknowledged(self, message: Msg) -> None:
        sequence, tenant, kind, path = message.data.decode().split(" ")
        stream = message.subject.rpartition(".")[2]
        self._progress.acknowledge(position(stream, int(sequence)), tenant, Ref(kind, path))
        to_others = message.reply.startswith(CONFIRMED) and self.id not in message.reply
        if self._confirms and to_others:
            with suppress(*_UNREACHABLE):
                await self._nats.publish(message.reply, self.id.encode())

    async def _confirmed(self, message: Msg) -> None:
        number = message.subject.rpartition(".")[2]
        self._confirmations.confirmed(message.data.decode(), int(number))


def _subject(stream: str) -> str:
    return f"secaplane.acknowledged.{stream}"
