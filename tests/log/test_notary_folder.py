"""The notary's log in a folder: its files, an end at any point, and changes that are found."""

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secaplane.audit.merkle.hashing import leaf_hash, tree_root
from secaplane.audit.notary import log_files
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.log_files import FolderFiles, LogFiles
from secaplane.audit.notary.notary_log import EventsMissing, HistoryChanged, NotaryLog
from secaplane.audit.notary.notary_state import NotaryIdentity
from secaplane.audit.notary.publisher import Publisher
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.signed_notes import NoteSigner, verified
from secaplane.audit.tlog.tiles import WIDTH, tile_name, tiles_of
from secaplane.eventlog.losses.holes import Hole
from tests.rules.test_leaves import SUBJECT, stored
from tests.rules.tlog_scene import ORIGIN, SIGNER, bytes_of

STREAM = "SECA"
IDENTITY = NotaryIdentity(ORIGIN, [SIGNER])
Event = tuple[str, bytes]


def events(count: int, *, lives: int = 3) -> list[Event]:
    return [(SUBJECT, stored(f"life-{number % lives}", number)) for number in range(count)]


def leaves(given_events: list[Event]) -> list[bytes]:
    chain = CommitmentChain(STREAM)
    return [
        chain.commit(sequence, *each).leaf.written for sequence, each in enumerate(given_events, 1)
    ]


class Notary:
    """A notary of one stream, without its process."""

    def __init__(self, place: Path | LogFiles, identity: NotaryIdentity = IDENTITY) -> None:
        files = FolderFiles(place) if isinstance(place, Path) else place
        self.folder = TileFolder(files, STREAM)
        self.publisher = Publisher(self.folder, identity, STREAM)
        self.log: NotaryLog = self.publisher.open()

    def follow(self, stream: list[Event], *, up_to: int | None = None) -> None:
        end = len(stream) if up_to is None else up_to
        for at in range(self.log.next - 1, end):
            self.log.take(at + 1, *stream[at])

    def publish(self, *, state: bool = False) -> TreeHead:
        grown = self.log.take_grown()
        assert grown is not None
        return self.publisher.publish(grown, dict(self.log.heads) if state else None)

    def checkpoint(self) -> TreeHead:
        data = self.folder.checkpoint()
        assert data is not None
        head, note = parse_checkpoint(data)
        assert verified(note, IDENTITY.verifiers)
        return head


def expected(stream: list[Event]) -> TreeHead:
    return TreeHead(ORIGIN, len(stream), tree_root(map(leaf_hash, leaves(stream))))


def test_the_folder_holds_every_tile_of_every_checkpoint_and_each_is_right(tmp_path: Path) -> None:
    stream = events(600)
    notary, entries = Notary(tmp_path), leaves(stream)
    for size in (1, 2, 255, 256, 257, 512, 600):
        notary.follow(stream, up_to=size)
        assert notary.publish() == notary.checkpoint() == expected(stream[:size])
        for name in tiles_of(size):
            assert notary.folder.read(name) == bytes_of(name, entries[:size])
    public = tmp_path / "public" / STREAM
    written = [each.relative_to(public) for each in public.rglob("*") if each.is_file()]
    tiles = [tile_name(str(each)) for each in written if each.name != "checkpoint"]
    assert {name for name in tiles if name.width == WIDTH} == {
        name for name in tiles_of(600) if name.width == WIDTH
    }
    assert [
        name for name in tiles if name.level == 0 and not name.number and name.width < WIDTH
    ] == []


def test_two_notaries_compute_the_same_whatever_arrives_together(tmp_path: Path) -> None:
    stream = events(300)
    one, other = Notary(tmp_path / "one"), Notary(tmp_path / "other")
    for size in range(0, 301, 7):
        one.follow(stream, up_to=size)
        one.publish(state=size % 3 == 0)
    one.follow(stream)
    other.follow(stream)
    assert one.publish() == other.publish()
    for name in tiles_of(300):
        assert one.folder.read(name) == other.folder.read(name)


def test_two_notaries_of_one_folder_never_publish_an_older_checkpoint(tmp_path: Path) -> None:
    stream = events(300)
    one, other = Notary(tmp_path), Notary(tmp_path)
    one.follow(stream, up_to=100)
    other.follow(stream, up_to=40)
    assert one.publish().size == 100
    assert other.publish().size == 100
    other.follow(stream)
    assert other.publish() == expected(stream)
    one.follow(stream, up_to=200)
    assert one.publish().size == 300
    one.follow(stream)
    assert one.publish() == one.checkpoint() == expected(stream)


class Killed(BaseException):
    """Stands for the end of a process."""


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4, unique=True).map(sorted),
    states=st.lists(st.booleans(), min_size=4, max_size=4),
    killed_at=st.integers(0, 25),
    renamed=st.booleans(),
)
def test_a_notary_that_ended_at_any_write_goes_on_to_the_same_log(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    states: list[bool],
    killed_at: int,
    renamed: bool,
) -> None:
    folder, left = tmp_path_factory.mktemp("notary"), [killed_at]
    write = log_files._write

    def dying(path: Path, data: bytes, mode: int, folder_mode: int) -> set[Path]:
        left[0] -= 1
        if left[0] == 0:
            if renamed:
                write(path, data, mode, folder_mode)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(f"{path.name}.new").write_bytes(data[: len(data) // 2])
            raise Killed
        return write(path, data, mode, folder_mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_write", dying)
        with suppress(Killed):
            notary = Notary(folder)
            for size, state in zip(sizes, states, strict=False):
                notary.follow(WHOLE, up_to=size)
                notary.publish(state=state)
    after = Notary(folder)
    after.follow(WHOLE)
    assert after.publish() == after.checkpoint() == expected(WHOLE)
    entries = leaves(WHOLE)
    for name in tiles_of(len(WHOLE)):
        assert after.folder.read(name) == bytes_of(name, entries)


WHOLE = events(800)


def published(folder: Path, stream: list[Event], *, state_at: int = 0) -> Notary:
    notary = Notary(folder)
    if state_at:
        notary.follow(stream, up_to=state_at)
        notary.publish(state=True)
    notary.follow(stream)
    notary.publish()
    return notary


@pytest.mark.parametrize("state_at", [0, 100, 256])
@pytest.mark.parametrize("changed_at", [257, 299, 300])
def test_changed_bytes_stop_a_notary_that_starts_again(
    tmp_path: Path, state_at: int, changed_at: int
) -> None:
    stream = events(300)
    published(tmp_path, stream, state_at=state_at)
    subject, data = stream[changed_at - 1]
    stream[changed_at - 1] = subject, data.replace(b'"n"', b'"m"')
    again = Notary(tmp_path)
    with pytest.raises(HistoryChanged, match=f"SECA:{changed_at} is changed") as raised:
        again.follow(stream)
    assert raised.value.position.sequence == changed_at


def test_a_lost_event_is_missing_until_an_operator_declares_it(tmp_path: Path) -> None:
    stream, notary = events(10), Notary(tmp_path)
    notary.follow(stream, up_to=5)
    with pytest.raises(EventsMissing) as raised:
        notary.log.take(8, *stream[7])
    assert raised.value.hole == Hole(STREAM, 6, 7)
    notary.log.lose(raised.value.hole)
    notary.log.take(8, *stream[7])
    assert notary.publish().size == 8
    again = Notary(tmp_path)
    again.follow(stream, up_to=5)
    again.log.lose(Hole(STREAM, 6, 7))
    again.log.take(8, *stream[7])
    assert again.publish().size == 8


def test_an_event_that_the_log_holds_is_never_declared_lost(tmp_path: Path) -> None:
    stream = events(10)
    published(tmp_path, stream)
    again = Notary(tmp_path)
    again.follow(stream, up_to=5)
    with pytest.raises(HistoryChanged, match="SECA:6 is missing: the log holds it"):
        again.log.lose(Hole(STREAM, 6, 6))


def test_an_event_in_the_place_of_a_lost_one_is_found(tmp_path: Path) -> None:
    stream, notary = events(10), Notary(tmp_path)
    notary.follow(stream, up_to=5)
    notary.log.lose(Hole(STREAM, 6, 6))
    notary.publish()
    with pytest.raises(HistoryChanged, match="SECA:6 is inserted"):
        Notary(tmp_path).follow(stream)


def replaced(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "path",
    [
        "public/SECA/checkpoint",
        "public/SECA/tile/0/001.p/44",
        "public/SECA/tile/1/000.p/1",
        "private/SECA.state",
    ],
)
def test_a_changed_file_of_the_notary_stops_it(tmp_path: Path, path: str) -> None:
    published(tmp_path, events(300), state_at=256)
    replaced(tmp_path / path, flipped)
    with pytest.raises(HistoryChanged):
        Notary(tmp_path)


def test_a_changed_entry_stops_the_comparison(tmp_path: Path) -> None:
    stream = events(300)
    published(tmp_path, stream, state_at=256)
    replaced(tmp_path / "public/SECA/tile/entries/001.p/44", flipped)
    with pytest.raises(HistoryChanged, match="SECA:300 is changed: its entry"):
        Notary(tmp_path).follow(stream)


def test_a_missing_tile_stops_the_notary(tmp_path: Path) -> None:
    published(tmp_path, events(300))
    (tmp_path / "public/SECA/tile/entries/001.p/44").unlink()
    with pytest.raises(HistoryChanged, match="is missing"):
        Notary(tmp_path)


def test_an_older_checkpoint_in_place_of_the_newest_is_found_by_the_state(tmp_path: Path) -> None:
    stream, notary = events(300), Notary(tmp_path)
    notary.follow(stream, up_to=200)
    notary.publish()
    older = (tmp_path / "public/SECA/checkpoint").read_bytes()
    notary.follow(stream)
    notary.publish(state=True)
    (tmp_path / "public/SECA/checkpoint").write_bytes(older)
    with pytest.raises(HistoryChanged, match="SECA:201 is rolled back"):
        Notary(tmp_path)


def test_a_fork_is_not_signed(tmp_path: Path) -> None:
    """Two processes of one folder whose streams differ."""
    stream, forked = events(300), events(300)
    forked[250] = forked[0]
    one, other = Notary(tmp_path), Notary(tmp_path)
    one.follow(stream)
    other.follow(forked)
    one.publish()
    with pytest.raises(HistoryChanged) as raised:
        other.publish()
    assert (raised.value.position.sequence, raised.value.how) == (251, "changed")
    assert one.checkpoint() == expected(stream)


def test_a_rotated_key_signs_beside_the_old_one_and_then_alone(tmp_path: Path) -> None:
    stream = events(5)
    new = NoteSigner(ORIGIN, sha256(b"the next key").digest())
    published(tmp_path, stream)
    for identity, keys in (
        (NotaryIdentity(ORIGIN, [SIGNER, new]), 2),
        (NotaryIdentity(ORIGIN, [new]), 1),
    ):
        notary = Notary(tmp_path, identity)
        notary.follow(stream)
        notary.publish()
        data = notary.folder.checkpoint()
        assert data is not None
        _, note = parse_checkpoint(data)
        assert len(verified(note, identity.verifiers)) == len(note.signatures) == keys
    with pytest.raises(HistoryChanged, match="not signed by a key of this notary"):
        Notary(tmp_path)


def test_the_state_names_tenants_and_is_readable_by_the_notary_alone(tmp_path: Path) -> None:
    notary = Notary(tmp_path)
    notary.follow(events(5))
    notary.publish(state=True)
    state = tmp_path / "private/SECA.state"
    assert b"life-1" in state.read_bytes()
    assert (state.stat().st_mode & 0o777, state.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not any(
        b"life-1" in each.read_bytes()
        for each in (tmp_path / "public").rglob("*")
        if each.is_file()
    )
