"""The files of the notary have one contract in a folder and in a bucket of S3, where notaries on
several machines write one log."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from signal import SIGKILL

import pytest

from secaplane.audit.heads.kept import UNRECORDED_KEPT, HeadsSnapshot, KeptHeads
from secaplane.audit.notary.leaves import LifeHead
from secaplane.audit.notary.log_files import FolderFiles, LogFiles
from secaplane.audit.notary.notary_log import HistoryChanged
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.tiles import tiles_of
from secaplane.cli.config import Config
from secaplane.cli.processes.notary_files import log_files
from secaplane.cli.processes.notary_witnesses import write_newer
from secaplane.cli.settings import BadConfig, NotarySettings
from tests.flows.crashing import until
from tests.flows.notarizing import NotaryScene, ended, notary_scene
from tests.log.test_notary_folder import Event, Notary, events, expected, leaves
from tests.oracles.s3_server import BUCKET, bucket, s3_server
from tests.rules.tlog_scene import bytes_of
from tests.servers import STREAM

EVENTS, STEP = 700, 9
_number = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture(params=("folder", "bucket"))
def files(request: pytest.FixtureRequest, tmp_path: Path) -> LogFiles:
    if request.param == "folder":
        return FolderFiles(tmp_path)
    return bucket(request.getfixturevalue("server"), f"notary/{next(_number)}")


def test_what_is_written_is_read_back(files: LogFiles) -> None:
    assert (files.read("public/a/b"), files.exists("public/a/b")) == (None, False)
    files.write("public/a/b", b"one")
    files.write("public/a/b", b"two")
    files.write("private/c", b"")
    assert (files.read("public/a/b"), files.exists("public/a/b")) == (b"two", True)
    assert files.read("private/c") == b""


def test_what_is_created_never_changes(files: LogFiles) -> None:
    assert files.create({"public/1": b"one", "public/2": b"two"}) is None
    other = files.create({"public/1": b"one", "public/2": b"other", "public/3": b"three"})
    assert other == ("public/2", b"two")
    assert [files.read(f"public/{n}") for n in (1, 2, 3)] == [b"one", b"two", None]


def test_a_private_file_is_for_its_owner_alone_however_it_is_written(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    files.create({"private/heads/1.signed": b"one"})
    files.write("private/state", b"two")
    for path, mode in (("private/heads/1.signed", 0o600), ("private/state", 0o600)):
        assert (tmp_path / path).stat().st_mode & 0o777 == mode
    assert (tmp_path / "private/heads").stat().st_mode & 0o777 == 0o700


def test_a_slower_notary_replaces_no_newer_cosigned_checkpoint(files: LogFiles) -> None:
    stream, notary, checkpoints = events(20), Notary(files), list[bytes]()
    for size in (10, 20):
        notary.follow(stream, up_to=size)
        notary.publish()
        checkpoints.append(notary.folder.checkpoint() or b"")
    older, newer = checkpoints
    for each in (older, newer, older):
        write_newer(notary.folder, each)
    assert notary.folder.cosigned() == newer


def test_a_file_is_replaced_only_where_it_is_the_one_of_before(files: LogFiles) -> None:
    assert not files.replace("public/c", b"two", b"one")
    assert files.replace("public/c", b"one", None)
    assert not files.replace("public/c", b"two", None)
    assert not files.replace("public/c", b"two", b"other")
    assert files.replace("public/c", b"two", b"one")
    assert files.read("public/c") == b"two"


def test_names_are_in_the_order_of_writing_and_of_one_folder(files: LogFiles) -> None:
    assert list(files.names("private/heads")) == []
    for name in ("b", "c", "a"):
        files.write(f"private/heads/{name}", b"")
    files.write("private/heads/inner/d", b"")
    files.write("private/headstone", b"")
    assert sorted(files.names("private/heads")) == ["a", "b", "c"]
    files.remove("private/heads/b")
    files.remove("private/heads/b")
    assert sorted(files.names("private/heads")) == ["a", "c"]
    files.remove_below("private/heads")
    files.remove_below("private/heads")
    assert list(files.names("private/heads")) == []
    assert files.exists("private/headstone")


def test_a_bucket_that_is_away_is_an_error_of_the_system(server: str) -> None:
    away = bucket("http://127.0.0.1:9", "")
    for asked in (
        lambda: away.read("a"),
        lambda: away.write("a", b""),
        lambda: away.create({"a": b""}),
        lambda: away.names("a"),
        lambda: away.exists("a"),
    ):
        with pytest.raises(OSError, match="the bucket"):
            asked()


def test_a_log_in_a_bucket_is_the_one_in_a_folder(files: LogFiles) -> None:
    stream = events(600)
    notary, entries = Notary(files), leaves(stream)
    for size in (1, 2, 255, 256, 257, 600):
        notary.follow(stream, up_to=size)
        assert notary.publish(state=True) == notary.checkpoint() == expected(stream[:size])
        for name in tiles_of(size):
            assert notary.folder.read(name) == bytes_of(name, entries[:size])
    again = Notary(files)
    assert again.checkpoint() == expected(stream)
    assert list(again.folder.names("tile/0/000.p")) == []


def follow(files: LogFiles, stream: list[Event], first: int) -> None:
    """A notary that publishes every ninth event, as fast as it can."""
    notary = Notary(files)
    for size in [*range(first, EVENTS, STEP), EVENTS]:
        notary.follow(stream, up_to=size)
        grown = notary.log.take_grown()
        assert grown is not None
        published = 0
        while published < size:
            with suppress(OSError):  # others have published at each try: the same again
                published = notary.publisher.publish(grown, dict(notary.log.heads)).size


def test_notaries_at_once_never_publish_an_older_checkpoint_or_another_tree(
    files: LogFiles,
) -> None:
    """They have no lock in a bucket."""
    stream, reader, sizes = events(EVENTS), Notary(files), list[int]()
    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(follow, files, stream, first) for first in (1, 4, 7)]
        while not all(each.done() for each in running):
            if reader.folder.checkpoint() is not None:
                sizes.append(reader.checkpoint().size)
        for each in running:
            each.result()
    assert sizes == sorted(sizes)
    assert Notary(files).checkpoint() == expected(stream)


def test_a_tile_that_was_changed_is_found_and_not_overwritten(files: LogFiles) -> None:
    stream = events(300)
    notary = Notary(files)
    notary.follow(stream, up_to=300)
    notary.publish(state=True)
    path, wrong = "public/SECA/tile/0/001.p/44", bytes(32 * 44)
    files.write(path, wrong)
    with pytest.raises(HistoryChanged, match="the tiles have another root"):
        Notary(files)
    assert files.read(path) == wrong


def test_heads_that_were_not_recorded_are_removed_but_for_the_newest(files: LogFiles) -> None:
    kept, roots = KeptHeads(files), list[bytes]()
    for number in range(UNRECORDED_KEPT + 3):
        heads = {"life": LifeHead(number + 1, bytes(32), b"salt")}
        roots.append(kept.keep(HeadsSnapshot({"SECA": number + 1}, {"SECA": heads})).root)
        assert files.exists(f"private/heads/{roots[-1].hex()}.tree")
    left = [files.exists(f"private/heads/{root.hex()}.tree") for root in roots]
    assert sum(left) == UNRECORDED_KEPT + 1


# --- the process


async def test_two_notaries_sign_one_log_in_a_bucket_and_one_is_killed(
    server: str, tmp_path: Path
) -> None:
    async with notary_scene(tmp_path) as scene:
        scene.more |= {
            "SECAPLANE_NOTARY_FOLDER": "",
            "SECAPLANE_NOTARY_BUCKET": f"s3://{BUCKET}/site",
            "SECAPLANE_NOTARY_BUCKET_ENDPOINT": server,
        }
        other = scene.start(SECAPLANE_NOTARY_PORT="0")
        with ended(scene.start()):
            await scene.append(300)
            await scene.refuse(5)
            await signed(scene, 300)
            other.send_signal(SIGKILL)
            other.wait(60)
            await scene.append(300)
            await signed(scene, 600)
            assert await scene.expected(STREAM, 600) == head(scene).root
            status, tile, _ = scene.get(f"{STREAM}/tile/0/000")
            assert (status, len(tile)) == (200, 256 * 32)
            assert scene.get(f"{STREAM}/tile/0/000.p/9")[0] == 404
            assert scene.get(f"{STREAM}/timestamps/1.tsr")[0] == 404
        done = scene.secaplane("audit", "export", str(tmp_path / "export"))
        assert done.returncode == 0, done.stderr
        policy = tmp_path / "policy"
        policy.write_text(scene.policy)
        done = scene.secaplane("audit", "verify", str(tmp_path / "export"), "--policy", str(policy))
        assert (done.returncode, done.stderr) == (3, ""), "no earlier checkpoint, no witnesses"


async def signed(scene: NotaryScene, size: int) -> None:
    async def reached() -> bool:
        with suppress(OSError):
            return scene.get(f"{STREAM}/checkpoint")[0] == 200 and head(scene).size >= size
        return False

    await until(reached, f"{size} events are signed")


def head(scene: NotaryScene) -> TreeHead:
    """As the port of the notary serves it."""
    checkpoint = parse_checkpoint(scene.get(f"{STREAM}/checkpoint")[1])
    return parse_policy(scene.policy).verify(checkpoint).head


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            NotarySettings(folder="a", bucket="s3://audit/a"),
            "both notary.folder and notary.bucket",
        ),
        (NotarySettings(), "neither is set"),
    ],
)
def test_the_files_are_in_one_place(settings: NotarySettings, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        log_files(Config(notary=settings))
