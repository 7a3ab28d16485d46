"""Refusals of the notary, and its silence."""

from secaplane.eventlog.log import LogUnavailable


class NotaryUnavailable(LogUnavailable):
    """No process answers, or it cannot answer yet: try again later."""


class NotaryAbsent(NotaryUnavailable):
    """No process listens to the request."""
