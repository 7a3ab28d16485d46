"""The notary process: the Merkle log of each stream, in a folder, with signed checkpoints.

It alone has the signing keys, and its NATS user can follow the streams and append nothing but
audit entries about its own start and stop. It answers questions about heads and tiles.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from secaplane.audit.notary.notary_state import NotaryIdentity
from secaplane.audit.notary.publisher import Publisher
from secaplane.audit.notary.stream_notary import StreamNotary
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.stream import stream_name
from secaplane.audit.tlog.signed_notes import NoteSigner
from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import connect_nats, streams
from secaplane.cli.processes.log_routes import served_logs
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.notary_files import log_files
from secaplane.cli.processes.notary_heads import HeadsAnswers
from secaplane.cli.processes.notary_witnesses import WitnessSubmission, submitting
from secaplane.cli.processes.stopping import background_tasks, not_ready_when_stopping
from secaplane.cli.running import StopRequest
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.event_seals import EnvelopesAlone
from secaplane.eventlog.jetstream.log import JetStreamLog


def followed_streams(config: Config) -> tuple[str, ...]:
    """The streams of the log, and the security audit stream."""
    return (*streams(config).names, stream_name(config.nats.stream))


def origin(config: Config, stream: str) -> str:
    """The origin of the log of a stream."""
    return f"{config.notary.origin}/{stream}"


def identities(config: Config) -> dict[str, NotaryIdentity]:
    """By stream: the origin of its log and the keys that sign it.

    Raises:
        BadConfig: no key file, or a stream without a key.
    """
    settings = config.notary
    for name in ("origin", "keys"):
        if not getattr(settings, name):
            raise BadConfig(f"notary.{name} is not set")
    try:
        lines = Path(settings.keys).read_text().splitlines()
        signers = [NoteSigner.parse(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise BadConfig(f"notary.keys: {error}") from error
    found = dict[str, NotaryIdentity]()
    for stream in followed_streams(config):
        name = origin(config, stream)
        own = [each for each in signers if each.public.name == name]
        if not own:
            raise BadConfig(
                f"notary.keys: no key for {name}; `secaplane notary keys` creates those that are "
                "missing"
            )
        found[stream] = NotaryIdentity(name, own)
    return found


async def run(config: Config, announce: Announce, stop: StopRequest) -> None:
    """Each stream has a log of its own: one that has stopped does not stop the others."""
    metrics, notaries, submissions = Metrics(), list[StreamNotary](), list[WitnessSubmission]()
    identified, files = identities(config), log_files(config)
    readiness = not_ready_when_stopping(partial(_readiness, notaries, submissions), stop)
    async with (
        monitored(config, readiness, metrics) as monitor,
        served_logs(config, files, identified, metrics) as port,
    ):
        client = await connect_nats(config)
        try:
            seals, region = EnvelopesAlone(), config.site.region
            source = JetStreamLog(client, streams=streams(config), region=region, seals=seals)
            answers = HeadsAnswers(source, files, notaries, stream_name(config.nats.stream))
            notaries += [
                StreamNotary(
                    source,
                    Publisher(TileFolder(files, stream), identity, stream),
                    stream,
                    interval_s=config.notary.interval_ms / 1000,
                    compare_every_s=config.notary.compare_hours * 3600.0,
                    recorded=answers.recorded,
                )
                for stream, identity in identified.items()
            ]
            _watch(metrics, notaries)
            async with (
                submitting(config, notaries, files) as submission,
                background_tasks() as start,
            ):
                submissions += submission
                for each in notaries:
                    start(each.run())
                for submitted in submission:
                    start(submitted.run())
                answers.start(client, start)
                announce(Announcement(port=port, monitor=monitor))
                await stop.received()
            for each in notaries:
                await each.close()
        finally:
            await client.close()


def _readiness(
    notaries: Sequence[StreamNotary], submissions: Sequence[WitnessSubmission]
) -> Readiness:
    """A witness that does not cosign is a remark: the log is signed all the same."""
    reasons = [each.reason for each in notaries if each.reason]
    remarks = [remark for each in submissions for remark in each.cosigning.remarks]
    details = {
        each.stream: {
            "followed": each.followed,
            "signed": each.published.size,
            "compared": each.compared,
        }
        for each in notaries
    }
    return Readiness(bool(notaries) and not reasons, reasons, remarks, {"logs": details})


def _watch(metrics: Metrics, notaries: Sequence[StreamNotary]) -> None:
    followed = metrics.labelled_gauge("notary_followed", "Sequence of the last event", "stream")
    signed = metrics.labelled_gauge("notary_signed", "Size of the signed tree", "stream")
    compared = metrics.labelled_gauge(
        "notary_compared", "Events that the last comparison has compared", "stream"
    )
    stopped = metrics.labelled_gauge("notary_stopped", "1 where the history has changed", "stream")
    for each in notaries:
        followed.labels(each.stream).set_function(partial(getattr, each, "followed"))
        compared.labels(each.stream).set_function(partial(getattr, each, "compared"))
        signed.labels(each.stream).set_function(partial(_signed, each))
        stopped.labels(each.stream).set_function(partial(_stopped, each))


def _signed(notary: StreamNotary) -> int:
    return notary.published.size


def _stopped(notary: StreamNotary) -> bool:
    return notary.stopped
