"""The log of a control plane, with the keys that open its events."""

from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import now, streams
from secaplane.cli.processes.keys import event_seals
from secaplane.eventlog.jetstream.log import JetStreamLog


def opened_log(config: Config, nats: Client) -> JetStreamLog:
    seals = event_seals(config, nats, now)
    return JetStreamLog(nats, streams=streams(config), region=config.site.region, seals=seals)
