"""Room that is left in the streams of the log, and in the account that holds them. Pure.

JetStream answers an append under a wrong expectation before it looks at limits, and no message of
ours may enter a stream only to try: limits are read instead (docs/decisions/054).
"""

from collections.abc import Mapping, Sequence

import msgspec

NEARLY_FULL = 0.9
EVENT_BYTES = 1024
"""A stream with less space takes hardly an event."""
UNLIMITED = -1


class _StreamConfig(msgspec.Struct, frozen=True):
    max_bytes: int = UNLIMITED
    max_msgs: int = UNLIMITED
    max_msgs_per_subject: int = UNLIMITED
    max_age: int = 0
    discard: str = "old"


class _StreamState(msgspec.Struct, frozen=True):
    bytes: int = 0
    messages: int = 0


class StreamCapacity(msgspec.Struct, frozen=True):
    """The part of JetStream's information about a stream that is read here."""

    config: _StreamConfig = _StreamConfig()
    state: _StreamState = _StreamState()


class _AccountLimits(msgspec.Struct, frozen=True):
    max_storage: int = UNLIMITED


class _Tier(msgspec.Struct, frozen=True):
    storage: int = 0
    limits: _AccountLimits = _AccountLimits()


class AccountCapacity(_Tier, frozen=True):
    tiers: Mapping[str, _Tier] = {}


class LimitUsage(msgspec.Struct, frozen=True):
    """One limit: what is used of it, and the least that an event needs."""

    name: str
    unit: str
    used: int
    most: int
    event: int

    @property
    def full(self) -> bool:
        return self.used + self.event > self.most

    @property
    def nearly_full(self) -> bool:
        return self.used >= NEARLY_FULL * self.most

    @property
    def text(self) -> str:
        return f"{self.name} holds {self.used} of {self.most} {self.unit}"


class Capacity(msgspec.Struct, frozen=True):
    """Of the whole log: every limit, and the streams that would remove events."""

    usages: Sequence[LimitUsage] = ()
    removing: Sequence[str] = ()

    @property
    def full_reason(self) -> str:
        """The limit that leaves no space for an event; empty if none does."""
        return next((each.text for each in self.usages if each.full), "")

    @property
    def remarks(self) -> list[str]:
        return [
            *(each.text for each in self.usages if each.nearly_full),
            *(
                f"the stream {name} has limits that remove its oldest events: take them away"
                for name in self.removing
            ),
        ]


def capacity_of(streams: Mapping[str, StreamCapacity], account: AccountCapacity) -> Capacity:
    usages = [each for name in streams for each in stream_usage(name, streams[name])]
    removing = [name for name in streams if removes_events(streams[name])]
    return Capacity([*usages, *account_usage(account)], removing)


def stream_usage(name: str, stream: StreamCapacity) -> list[LimitUsage]:
    config, state = stream.config, stream.state
    found = [
        LimitUsage(f"the stream {name}", "bytes", state.bytes, config.max_bytes, EVENT_BYTES),
        LimitUsage(f"the stream {name}", "messages", state.messages, config.max_msgs, 1),
    ]
    return [each for each in found if each.most > 0]


def account_usage(account: AccountCapacity) -> list[LimitUsage]:
    tiers = {"the account": account, **{f"tier {n}": each for n, each in account.tiers.items()}}
    return [
        LimitUsage(f"{name} at NATS", "bytes", tier.storage, tier.limits.max_storage, EVENT_BYTES)
        for name, tier in tiers.items()
        if tier.limits.max_storage > 0
    ]


def removes_events(stream: StreamCapacity) -> bool:
    """True if the stream would remove events instead of refusing new ones."""
    config = stream.config
    limits = (config.max_bytes, config.max_msgs)
    discards = config.discard == "old" and any(each > 0 for each in limits)
    return discards or config.max_age > 0 or config.max_msgs_per_subject > 0
