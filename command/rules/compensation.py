"""Compensating decisions of the control plane: a name that is gone leaves a spec, and a write that
must not stand is reverted. Neither is ever refused. Pure."""

from typing import Any

from secaplane.command.rules.commands import Put, Release, Revert
from secaplane.command.rules.context import DecisionContext
from secaplane.model.events import AnyEvent, DeletionRequested, Updated


def release(context: DecisionContext, command: Release) -> AnyEvent | None:
    """A name that is gone leaves a spec, unless the resource changed meanwhile."""
    resource = context.resource
    if resource is None or resource.deleted_at or resource.version != command.expected:
        return None
    return Updated(
        spec=command.spec,
        labels=resource.labels,
        annotations=resource.annotations,
        extensions=resource.extensions,
    )


def revert(context: DecisionContext, command: Revert) -> AnyEvent | None:
    """The compensating command is never refused. A referrer of a creation that is reverted waits
    for its deletion, and the deletion waits for it."""
    resource = context.resource
    if resource is None or resource.version != command.expected:
        return None
    if command.to is not None:
        return Updated(**desired(command.to))
    return None if resource.deleted_at else DeletionRequested()


def desired(command: Put) -> dict[str, Any]:
    return {
        "spec": command.spec,
        "labels": command.labels,
        "annotations": command.annotations,
        "extensions": command.extensions,
    }
