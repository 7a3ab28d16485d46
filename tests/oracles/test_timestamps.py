"""Time stamps on checkpoints: `openssl ts` gives them and accepts what was stored; `audit verify`
accepts the same, and nothing else."""

import contextlib
import io
from pathlib import Path

import pytest

from secaplane.audit.timestamps.folder import CHECKPOINT, TOKEN, stamp_path
from secaplane.audit.timestamps.tokens import WrongTimestamp, granted_at, requested, verifying
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.cli.operate.history_verify import verify
from tests.bench import exported
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.log.test_second_verifier import second
from tests.oracles.openssl_authority import OpensslAuthority, served
from tests.servers import STREAM

pytest.importorskip("rfc3161_client", reason="the extra `timestamps` is not installed")
SIZE = 300


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> OpensslAuthority:
    return OpensslAuthority(tmp_path_factory.mktemp("authority") / "tsa")


def stamped(place: Path, authority: OpensslAuthority, size: int = 256) -> Path:
    """An export whose checkpoint of that size has a time stamp."""
    exported.write(place / "export", SIZE)
    exported.write(place / "earlier", size)
    data = (place / "earlier" / exported.STREAM / "checkpoint").read_bytes()
    stream = place / "export" / exported.STREAM
    (stream / "timestamps").mkdir()
    (stream / stamp_path(size, CHECKPOINT)).write_bytes(data)
    request = requested(data)
    token = authority.reply(request.body)
    assert granted_at(token, data, request)
    (stream / stamp_path(size, TOKEN)).write_bytes(token)
    return stream


def verified(folder: Path, authority: Path | None) -> tuple[int, str, str]:
    """Exit status, and what is said, of a verification with an earlier checkpoint."""
    policy = exported.write_policy(folder.parent / "policy")
    seen = folder.parent / "seen"
    seen.write_bytes((folder / exported.STREAM / "checkpoint").read_bytes())
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        trusted = {"policy": policy, "seen": [seen], "max_age_s": None, "resume": None}
        status = verify(folder, **trusted, tsa_certificate=authority)  # type: ignore[arg-type]
    return status, out.getvalue(), err.getvalue()


def test_both_accept_a_time_stamp_and_the_time_is_printed(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    stream = stamped(tmp_path, authority)
    token, data = (stream / stamp_path(256, kind) for kind in (TOKEN, CHECKPOINT))
    assert authority.accepts(token, data)
    status, said, _ = verified(stream.parent, authority.root)
    assert status == 0
    assert f"{exported.STREAM}: 256 events existed at 20" in said
    trusted = ("--policy", str(tmp_path / "policy"), "--seen", str(tmp_path / "seen"))
    assert second(stream.parent, *trusted) == (0, ""), "the second verifier leaves them alone"


def test_without_a_certificate_from_elsewhere_a_time_stamp_proves_nothing(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    status, said, _ = verified(stamped(tmp_path, authority).parent, None)
    assert status == 3
    assert "1 time stamps of SECA prove nothing (--tsa-certificate)" in said


def test_a_time_stamp_of_another_authority_is_refused_by_both(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    other = OpensslAuthority(tmp_path / "other")
    stream = stamped(tmp_path, other)
    assert not authority.accepts(
        stream / stamp_path(256, TOKEN), stream / stamp_path(256, CHECKPOINT)
    )
    status, _, said = verified(stream.parent, authority.root)
    assert status == 1
    assert "the time stamp on 256 events is wrong" in said


def test_a_time_stamp_over_other_bytes_is_refused(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    """Signature lines are part of what is stamped; another tree is a fork."""
    stream = stamped(tmp_path, authority)
    file = stream / stamp_path(256, CHECKPOINT)
    data = file.read_bytes()
    cut = b"\n".join(data.split(b"\n")[:-2]) + b"\n"
    for changed, said in (
        (cut, "the time stamp on 256 events is wrong: Mismatch"),
        (data.replace(b"\n256\n", b"\n255\n"), "is wrong: the checkpoint is of 255 events"),
        (b"", "the time stamp on 256 events is wrong"),
    ):
        file.write_bytes(changed)
        status, _, found = verified(stream.parent, authority.root)
        assert (status, said in found) == (1, True), found
    exported.write(tmp_path / "forked", 256, begin=1)
    file.write_bytes((tmp_path / "forked" / exported.STREAM / "checkpoint").read_bytes())
    assert f"{exported.STREAM}:256 is forked" in verified(stream.parent, authority.root)[2]


def test_a_changed_time_stamp_shows_no_other_time(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    """Each byte; those that no signature covers change nothing that is shown."""
    stream = stamped(tmp_path, authority)
    data = (stream / stamp_path(256, CHECKPOINT)).read_bytes()
    token = (stream / stamp_path(256, TOKEN)).read_bytes()
    trusted = verifying(authority.root.read_bytes())
    time, refused = trusted(token, data), 0
    for at in range(len(token)):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        try:
            assert trusted(changed, data) == time, at
        except WrongTimestamp:
            refused += 1
    assert refused > 0.9 * len(token)


def test_half_a_time_stamp_and_one_of_no_checkpoint_are_found(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    stream = stamped(tmp_path, authority)
    for name in ("timestamps/9999.tsr", "timestamps/0256.tsr", "timestamps/x"):
        (stream / name).write_bytes(b"x")
        status, _, said = verified(stream.parent, authority.root)
        assert (status, f"{name} is foreign" in said) == (1, True), said
        (stream / name).unlink()
    (stream / "timestamps/7.tsr").symlink_to(stream / stamp_path(256, TOKEN))
    assert "timestamps/7.tsr is foreign" in verified(stream.parent, authority.root)[2]
    (stream / "timestamps/7.tsr").unlink()
    (stream / stamp_path(256, TOKEN)).unlink()
    assert "is missing" in verified(stream.parent, authority.root)[2]


async def test_an_operator_stamps_checkpoints_and_exports_them(
    tmp_path: Path, authority: OpensslAuthority
) -> None:
    async with notary_scene(tmp_path) as scene:
        await scene.append(20)
        with ended(scene.start()):
            await scene.signed(STREAM, 20)
        the_authority_is_asked(scene, authority)
        with ended(scene.start()):
            await scene.append(5)
            await scene.signed(STREAM, 25)
        done = scene.secaplane("audit", "export", str(tmp_path / "export"))
        assert done.returncode == 0, done.stderr
        policy = tmp_path / "policy"
        policy.write_text(scene.policy)
        trusted = ("--policy", str(policy), "--tsa-certificate", str(authority.root))
        done = scene.secaplane("audit", "verify", str(tmp_path / "export"), *trusted)
        assert (done.returncode, done.stderr) == (3, ""), "no witnesses"
        assert f"{STREAM}: 20 events existed at 20" in done.stdout
        inside = str(tmp_path / "export" / STREAM / stamp_path(20, CHECKPOINT))
        within = ("--tsa-certificate", inside)
        done = scene.secaplane("audit", "verify", str(tmp_path / "export"), *within)
        assert (done.returncode, "comes from outside" in done.stderr) == (2, True)


def the_authority_is_asked(scene: NotaryScene, authority: OpensslAuthority) -> None:
    assert scene.secaplane("audit", "timestamp").returncode == 2, "no address is set"
    with served(authority) as url:
        scene.more["SECAPLANE_NOTARY_TIMESTAMP_URL"] = url
        done = scene.secaplane("audit", "timestamp")
        assert done.returncode == 0, done.stderr
        assert f"{STREAM}: 20 events at 20" in done.stdout
        done = scene.secaplane("audit", "timestamp")
        assert f"{STREAM}: 20 events have a time stamp already" in done.stdout
    token, data = (scene.public(STREAM) / stamp_path(20, kind) for kind in (TOKEN, CHECKPOINT))
    assert authority.accepts(token, data)
    assert parse_checkpoint(data.read_bytes()).head.size == 20
    assert (scene.public(AUDIT) / "timestamps").is_dir()
