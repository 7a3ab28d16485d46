"""What nats-py and the event loop raise when the connection to NATS is not there."""

from nats import errors

CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    errors.Error,
    OSError,
    TimeoutError,
    RuntimeError,  # uvloop's word for writing to a transport that has been closed
)
