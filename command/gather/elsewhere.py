"""Parents and children that are recorded in different streams of the log.

No expectation holds for two streams, and their positions do not compare. So both sides look once
more after their append, each at what the other stream has by then: of a creation and a deletion of
its parent, at least one finds the other, and does not stand. A creation is checked before its
answer and by its reconciler (`parent_elsewhere`); a deletion by its reconciler alone, before
anything is deleted with the parent (`ends_elsewhere`).
"""

from collections.abc import Sequence

from secaplane.eventlog.log import Log
from secaplane.eventlog.streams import Streams
from secaplane.kinds import children, parents
from secaplane.model.kind import Kind
from secaplane.model.position import Position
from secaplane.model.shape import Ref


def parent_elsewhere(streams: Streams, ref: Ref) -> Ref | None:
    """The nearest parent of a resource, if another stream records it. Its other parents cannot go
    before that one."""
    above = parents(ref)
    if not above or streams.of(above[-1].kind) == streams.of(ref.kind):
        return None
    return above[-1]


def kinds_elsewhere(streams: Streams, kind: Kind) -> frozenset[str]:
    """The kinds of children that are recorded in other streams than their parent."""
    own = streams.of(kind.name)
    return frozenset(each.name for each in children(kind) if streams.of(each.name) != own)


async def ends_elsewhere(log: Log, kind: Kind) -> Sequence[Position]:
    """The ends of the other streams that record children of a kind: rows that have reached them
    have every child that was created before this question.

    Raises:
        LogUnavailable: the log did not answer.
    """
    streams = log.streams
    others = {streams.of(name) for name in kinds_elsewhere(streams, kind)}
    return [await log.end(stream) for stream in sorted(others)]
