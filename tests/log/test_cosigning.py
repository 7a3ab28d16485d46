"""Gathering cosignatures: a quorum is published; a witness that is slow or away delays none."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from secaplane.audit.notary.cosigning import Cosigning, WitnessLink
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import Ed25519Verifier, SignedNote
from secaplane.audit.tlog.witness_protocol import OTHER_SIZE, answer, parse_request
from tests.log.test_notary_folder import Notary, events
from tests.rules.tlog_scene import ORIGIN, SIGNER, TIME, WITNESSES

STREAM = events(600)
LOGS = {ORIGIN: [Ed25519Verifier(SIGNER.public)]}
LINES = [
    f"log {SIGNER.public.text}",
    *(f"witness w{n} {each.public.text} http://w{n}" for n, each in enumerate(WITNESSES)),
    "group two 2 w0 w1 w2",
    "quorum two",
]


class MemoryWitness:
    """A witness that answers as the specification says, or not at all."""

    def __init__(self, cosigner: Cosigner) -> None:
        self._cosigner = cosigner
        self.latest: TreeHead | None = None
        self.away, self.asked, self.says_once = False, 0, False
        self.released = asyncio.Event()
        self.released.set()

    async def add(self, body: bytes) -> tuple[int, str]:
        self.asked += 1
        await self.released.wait()
        if self.away:
            raise ConnectionRefusedError
        if self.says_once:
            self.says_once = False
            return OTHER_SIZE, "999999\n"
        made = answer(parse_request(body), LOGS, self.latest, [self._cosigner], time=TIME)
        self.latest = made.cosigned or self.latest
        return made.status, made.body


class Scene:
    def __init__(self, folder: Path) -> None:
        self.notary = Notary(folder)
        self.policy: TlogPolicy = parse_policy("\n".join(LINES))
        self.witnesses: Mapping[str, MemoryWitness] = {
            f"http://w{n}/add-checkpoint": MemoryWitness(each) for n, each in enumerate(WITNESSES)
        }
        links = {
            name: WitnessLink(name, key, self.notary.folder.read, self._post)
            for name, key in self.policy.witnesses.items()
        }
        self.published = list[SignedNote]()
        self.cosigning = Cosigning(self.policy, links, self._publish)

    def __getitem__(self, number: int) -> MemoryWitness:
        return self.witnesses[f"http://w{number}/add-checkpoint"]

    def checkpoint(self, size: int) -> SignedCheckpoint:
        self.notary.follow(STREAM, up_to=size)
        self.notary.publish()
        data = self.notary.folder.checkpoint()
        assert data is not None
        return parse_checkpoint(data)

    def asking(self) -> AbstractAsyncContextManager[None]:
        return self.cosigning.asking()

    async def _post(self, url: str, body: bytes) -> tuple[int, str]:
        return await self.witnesses[url].add(body)

    async def _publish(self, note: SignedNote) -> None:
        self.published.append(note)


async def test_a_checkpoint_with_a_quorum_is_published_and_the_policy_accepts_it(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    async with scene.asking():
        for size in (*range(1, 100), 255, 256, 600):
            signed = scene.checkpoint(size)
            assert await scene.cosigning.round(signed)
            again = parse_checkpoint(scene.published[-1].written.encode())
            assert len(scene.policy.verify(again).witnesses) >= 2
            assert scene.cosigning.size == size
    assert scene.cosigning.remarks == []


async def test_without_a_quorum_nothing_is_published_and_remarks_say_who_is_away(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene[0].away = scene[2].away = True
    async with scene.asking():
        assert not await scene.cosigning.round(scene.checkpoint(5))
        assert scene.published == []
        assert scene.cosigning.remarks == [
            "w0 does not answer: ConnectionRefusedError",
            "w2 does not answer: ConnectionRefusedError",
        ]
        scene[0].away = False
        assert await scene.cosigning.round(scene.checkpoint(9))


async def test_a_witness_that_hangs_is_not_asked_twice_and_delays_no_quorum(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene[1].released.clear()
    async with scene.asking():
        for size in (3, 7, 9):
            assert await scene.cosigning.round(scene.checkpoint(size))
    assert scene[1].asked == 1
    scene[1].released.set()
    async with scene.asking():
        assert await scene.cosigning.round(scene.checkpoint(20))


async def test_a_notary_that_starts_again_learns_from_each_witness_what_it_knows(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    async with scene.asking():
        assert await scene.cosigning.round(scene.checkpoint(100))
    again = Scene(tmp_path)
    again.witnesses = scene.witnesses
    async with again.asking():
        assert await again.cosigning.round(again.checkpoint(300))


async def test_a_fork_and_a_rollback_get_no_cosignature_and_a_remark(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "ours")
    async with scene.asking():
        assert await scene.cosigning.round(scene.checkpoint(300))
    shorter = Scene(tmp_path / "shorter")
    shorter.witnesses = scene.witnesses
    async with shorter.asking():
        assert not await shorter.cosigning.round(shorter.checkpoint(200))
    assert any("it has cosigned a tree of 300" in each for each in shorter.cosigning.remarks)
    forked = Scene(tmp_path / "forked")
    forked.witnesses = scene.witnesses
    forked.notary.follow([STREAM[1]], up_to=1)
    async with forked.asking():
        assert not await forked.cosigning.round(forked.checkpoint(400))
    assert any("422" in each for each in forked.cosigning.remarks)
    assert forked.published == []


async def test_a_witness_that_once_named_an_impossible_size_is_asked_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene[0].away = scene[1].says_once = True
    async with scene.asking():
        assert not await scene.cosigning.round(scene.checkpoint(5))
        assert any("a tree of 999999" in each for each in scene.cosigning.remarks)
        assert await scene.cosigning.round(scene.checkpoint(9))
