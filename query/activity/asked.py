"""The filters of a request for the activity in a tenant. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from secaplane.edge.problem_table import SLUGS
from secaplane.kinds import KINDS
from secaplane.model.errors import Malformed
from secaplane.query.history.points import as_of
from secaplane.readmodel.activity_rows import OUTCOMES, VERBS

FILTERS = ("actor", "verb", "kind", "outcome", "problem", "from", "to")
TEXT_LENGTH_MAX = 256


class ActivityAsked(NamedTuple):
    """None does not restrict."""

    actor: str | None = None
    """A sub, or the pseudonym of a caller that the tenant does not know."""
    verb: str | None = None
    kind: str | None = None
    outcome: str | None = None
    problem: str | None = None
    """The type of the problem that a refused request was answered with."""
    since: datetime | None = None
    until: datetime | None = None
    workspace: str | None = None

    @property
    def text(self) -> str:
        """Names the list that a skipToken belongs to."""
        return repr(tuple(self))


def asked(sent: Mapping[str, str], *, now: datetime) -> ActivityAsked:
    """The filters among the parameters of a request.

    Raises:
        Malformed: a value that nothing can match.
    """
    for name in ("actor", "workspace"):
        if len(sent.get(name, "")) > TEXT_LENGTH_MAX or "\0" in sent.get(name, ""):
            raise Malformed(f"{name} takes at most {TEXT_LENGTH_MAX} characters", parameter=name)
    _refuse_unknown(sent, "verb", VERBS)
    _refuse_unknown(sent, "outcome", OUTCOMES)
    _refuse_unknown(sent, "problem", SLUGS)
    _refuse_unknown(sent, "kind", tuple(KINDS))
    return ActivityAsked(
        sent.get("actor"),
        sent.get("verb"),
        sent.get("kind"),
        sent.get("outcome"),
        sent.get("problem"),
        _time(sent, "from", now),
        _time(sent, "to", now),
        sent.get("workspace"),
    )


def _refuse_unknown(sent: Mapping[str, str], name: str, known: tuple[str, ...]) -> None:
    if name in sent and sent[name] not in known:
        raise Malformed(f"{name} takes one of {', '.join(known)}", parameter=name)


def _time(sent: Mapping[str, str], name: str, now: datetime) -> datetime | None:
    if name not in sent:
        return None
    found = as_of(sent[name], name, now=now)
    if isinstance(found, datetime):
        return found
    raise Malformed(f"{name} takes a time such as 2026-11-30T12:00:00Z", parameter=name)
