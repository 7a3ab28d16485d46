"""given / when / then for the rules."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec import UNSET

from secaplane.command.rules.commands import Command, ReportStatus
from secaplane.command.rules.context import CallerRights, Damage, DecisionContext, SiteRules
from secaplane.command.rules.decide import decide
from secaplane.kinds import KINDS, SHARED_TENANT, log_ref
from secaplane.model.actor import Actor
from secaplane.model.errors import Refusal
from secaplane.model.events import AnyEvent, Created, RecordedEvent, StatusReported
from secaplane.model.evolve import fold
from secaplane.model.precondition import Precondition
from secaplane.model.shape import Json, Ref, Resource, State
from tests.positions import nth

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k8s"}
JANE = Actor(sub="jane")
TENANT = Ref("tenant", "tenants/acme")
WEB = Ref("workspace", "tenants/acme/workspaces/web")


class given:
    """One resource with the name `one` and its history; event n has position n."""

    def __init__(self, kind: str, *events: AnyEvent) -> None:
        self.ref = KINDS[kind].ref(IDS, "one")
        self.context = DecisionContext(
            ref=self.ref, kind=KINDS[kind], latest=fold(history(self.ref, *events))
        )

    @property
    def resource(self) -> Resource:
        assert self.context.latest is not None
        return self.context.latest

    def under(self, parents: Mapping[Ref, Resource | None]) -> "given":
        self.context = msgspec.structs.replace(self.context, parents=parents)
        return self

    def containing(self, children: Sequence[Ref]) -> "given":
        self.context = msgspec.structs.replace(self.context, children=children)
        return self

    def damaged(self, damage: Damage | None) -> "given":
        self.context = msgspec.structs.replace(self.context, damage=damage)
        return self

    def named(self, name: str) -> "given":
        ref = msgspec.structs.replace(self.ref, path=f"{self.ref.collection}/{name}")
        self.context = msgspec.structs.replace(self.context, ref=ref)
        return self

    def with_targets(self, *targets: Resource) -> "given":
        """The resources that its references may point to."""
        by_ref = {target.ref: target for target in targets}
        self.context = msgspec.structs.replace(self.context, targets=by_ref)
        return self

    def referred_to_by(self, *referrers: Ref) -> "given":
        self.context = msgspec.structs.replace(self.context, referrers=referrers)
        return self

    def in_zones(self, *zones: str) -> "given":
        self.context = msgspec.structs.replace(self.context, zones=zones)
        return self

    def at(self, site: SiteRules) -> "given":
        self.context = msgspec.structs.replace(self.context, site=site)
        return self

    def readable(self, *refs: Ref) -> "given":
        """Only these may be read by the caller."""
        rights = CallerRights(readable=frozenset(refs))
        self.context = msgspec.structs.replace(self.context, rights=rights)
        return self

    def when(self, command: Command) -> "given":
        self.command = command
        return self

    def then(self, event: AnyEvent) -> None:
        assert decide(self.context, self.command) == event

    def then_nothing(self) -> None:
        assert decide(self.context, self.command) is None

    def then_refused(self, refusal: type[Refusal]) -> Refusal:
        with pytest.raises(refusal) as refused:
            decide(self.context, self.command)
        assert type(refused.value) is refusal
        return refused.value


def history(ref: Ref, *events: AnyEvent) -> list[RecordedEvent]:
    """Event n at position n, n seconds after noon; each `Created` begins a life: u1, u2 ..."""
    life, recorded = 0, []
    for n, event in enumerate(events, start=1):
        life += isinstance(event, Created)
        recorded.append(
            RecordedEvent(
                ref=ref,
                uid=f"u{life}",
                position=nth(n),
                previous=nth(n - 1),
                time=at(n),
                request=f"r{n}",
                actor=JANE,
                event=event,
            )
        )
    return recorded


def at_version(version: int) -> Precondition:
    """`if-unmodified-since` with that version."""
    return Precondition(version=version)


def at(n: int) -> datetime:
    return NOON + timedelta(seconds=n)


def found(
    state: State, *, observed_position: int, reason: str = "", **status: object
) -> StatusReported:
    """A report as it is recorded."""
    return StatusReported(
        state=state, observed_position=nth(observed_position), status=status, reason=reason
    )


def report(
    state: State,
    *,
    observed_position: int,
    uid: str = "u1",
    reason: str = "",
    message: str = "",
    **status: object,
) -> ReportStatus:
    """A report as a reconciler commands it."""
    return ReportStatus(
        uid=uid,
        observed_position=nth(observed_position),
        state=state,
        status=status,
        reason=reason,
        message=message,
    )


def condition_texts(resource: Resource) -> list[str]:
    """The conditions as text, newest first: `active`, `powerState turningOn updating`."""
    return [
        " ".join(
            str(part)
            for part in (each.type, each.reason, each.message, each.state)
            if part is not UNSET
        )
        for each in resource.conditions
    ]


def lived(ref: Ref, spec: Json, *reports: StatusReported) -> Resource:
    """A resource that was created, and reported on."""
    resource = fold(history(ref, Created(spec=spec), *reports))
    assert resource is not None
    return resource


def from_catalogue(kind: str, name: str) -> Resource:
    """An entry of the catalogue, at its address in the log."""
    return lived(log_ref(KINDS[kind].ref({"tenant": SHARED_TENANT}, name)), {})
