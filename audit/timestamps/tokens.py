"""Requests for time stamps, and their answers (RFC 3161). The library, which is in the extra
`timestamps`, is imported when the first one is made or verified."""

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from cryptography.x509 import Certificate, load_pem_x509_certificates

TOKEN_BYTES_MAX = 64 * 1024
REQUEST_TYPE, ANSWER_TYPE = "application/timestamp-query", "application/timestamp-reply"
VerifyToken = Callable[[bytes, bytes], datetime]
"""The time at which an answer shows that some bytes existed; raises WrongTimestamp."""


class WrongTimestamp(Exception):
    """An answer that shows nothing about the bytes."""


class TimestampsNotInstalled(Exception):
    def __init__(self) -> None:
        super().__init__("time stamps need the extra: pip install 'secaplane[timestamps]'")


class TimestampRequest(NamedTuple):
    """The request for a time stamp on the digest of some bytes; `nonce` is in its answer."""

    body: bytes
    nonce: int | None


def requested(data: bytes) -> TimestampRequest:
    """A request for a time stamp on some bytes, with the certificate of the authority.

    Raises:
        TimestampsNotInstalled.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError as error:
        raise TimestampsNotInstalled from error
    built = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    return TimestampRequest(built.as_bytes(), built.nonce)


def granted_at(answer: bytes, data: bytes, request: TimestampRequest) -> datetime:
    """The time in an answer to a request. Its signature is not verified here: that needs a
    certificate that the reader trusts.

    Raises:
        WrongTimestamp: it is refused, malformed, or about something else.
    """
    from rfc3161_client import PKIStatus, decode_timestamp_response

    try:
        decoded = decode_timestamp_response(answer)
        if decoded.status != PKIStatus.GRANTED:
            raise WrongTimestamp(f"it was refused: {decoded.status_string}")
        stamp = decoded.tst_info
    except ValueError as error:
        raise WrongTimestamp(f"it is malformed: {error}") from error
    if stamp.message_imprint.message != sha256(data).digest() or stamp.nonce != request.nonce:
        raise WrongTimestamp("it is the answer to another request")
    time: datetime = stamp.gen_time
    return time


def verifying(certificates: bytes) -> VerifyToken:
    """Verification with the certificates of authorities that are trusted, in PEM.

    Raises:
        TimestampsNotInstalled.
        ValueError: no certificates.
    """
    try:
        import rfc3161_client  # noqa: F401
    except ImportError as error:
        raise TimestampsNotInstalled from error
    roots = load_pem_x509_certificates(certificates)
    return lambda answer, data: _verified(answer, data, roots)


def _verified(answer: bytes, data: bytes, roots: Sequence[Certificate]) -> datetime:
    """Raises WrongTimestamp where no trusted authority has signed a time for the bytes."""
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        decoded = decode_timestamp_response(answer)
        builder = VerifierBuilder(roots=[*roots])
        builder.build().verify_message(decoded, data)
        time: datetime = decoded.tst_info.gen_time
    except (ValueError, VerificationError) as error:
        raise WrongTimestamp(" ".join(str(error).split())) from error
    return time
