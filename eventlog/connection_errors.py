"""The exceptions of nats-py and the event loop that mean: there is no connection to NATS."""

from nats import errors

CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    errors.Error,
    OSError,
    TimeoutError,
    RuntimeError,  # uvloop, on a write to a closed transport
)
