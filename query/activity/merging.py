"""Several sources, each with the newest rows first, as one. Pure."""

from collections.abc import AsyncIterator, Sequence

from secaplane.readmodel.activity_rows import Activity


async def newest_first(sources: Sequence[AsyncIterator[Activity]]) -> AsyncIterator[Activity]:
    """Of each source, one row is held."""
    heads = list[tuple[Activity, AsyncIterator[Activity]]]()
    for source in sources:
        if (first := await anext(source, None)) is not None:
            heads.append((first, source))
    while heads:
        newest = max(range(len(heads)), key=lambda n: heads[n][0].key)
        row, source = heads[newest]
        yield row
        following = await anext(source, None)
        if following is None:
            del heads[newest]
        else:
            heads[newest] = following, source
