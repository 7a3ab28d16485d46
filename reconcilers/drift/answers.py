"""Answers of the cloud to comparisons: whatever a plugin raises is one exception here."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

from secaplane.model.reasons import reason_of
from secaplane.plugins.plugin import FenceRejected, InventoryItem, Plugin
from secaplane.reconcilers.leases.lease import LeaseLost

T = TypeVar("T")


class NoAnswer(Exception):
    """The cloud gave no answer, or one that cannot be used; the same question is asked again."""


async def answered(call: Awaitable[T]) -> T:
    """The answer to a call.

    Raises:
        FenceRejected: another call of the resource was made meanwhile.
        LeaseLost: another process holds its partition, or may.
        NoAnswer: for whatever else the plugin raises.
    """
    try:
        return await call
    except (FenceRejected, LeaseLost):
        raise
    except Exception as error:
        raise NoAnswer(reason_of(error)) from error


async def inventory(plugin: Plugin) -> AsyncIterator[Sequence[InventoryItem]]:
    """The pages of the inventory.

    Raises:
        NoAnswer: for whatever the plugin raises.
    """
    pages = plugin.inventory()
    while (page := await answered(anext(pages, None))) is not None:
        yield page
