"""The files of a notary in a bucket of S3, so that notaries on several machines write one log.

No machine can lock a bucket. A tile is written only where there is none (`If-None-Match: *`), the
checkpoint only over the one that was read (`If-Match` with its ETag): of two notaries, one signs
each checkpoint, and the other one finds it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

ANSWER_S_MAX, CONNECT_S_MAX = 10, 5
RETRIES_MAX = 2


class BucketFiles:
    """Files below a prefix of a bucket; see `LogFiles`."""

    def __init__(self, bucket: str, prefix: str, *, endpoint: str, region: str) -> None:
        """Credentials come from the environment, as for every client of S3: `AWS_ACCESS_KEY_ID` and
        `AWS_SECRET_ACCESS_KEY`, or those of the machine. No `endpoint`: that of AWS."""
        plain = endpoint.startswith("http://")
        place: Any = {"region": region} | ({"endpoint": endpoint} if endpoint else {})
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            config=place,
            client_options={
                "allow_http": plain,
                "timeout": timedelta(seconds=ANSWER_S_MAX),
                "connect_timeout": timedelta(seconds=CONNECT_S_MAX),
            },
            retry_config={
                "max_retries": RETRIES_MAX,
                "retry_timeout": timedelta(seconds=ANSWER_S_MAX),
            },
        )

    def exclusive(self, name: str) -> "nullcontext[None]":
        return nullcontext()

    def read(self, path: str) -> bytes | None:
        found = self._found(path)
        return None if found is None else found[0]

    def exists(self, path: str) -> bool:
        with _answers():
            try:
                obstore.head(self._store, path)
            except (NotFoundError, FileNotFoundError):
                return False
        return True

    def write(self, path: str, data: bytes) -> None:
        with _answers():
            obstore.put(self._store, path, data, use_multipart=False)

    def create(self, files: Mapping[str, bytes]) -> tuple[str, bytes] | None:
        for path, data in files.items():
            if not self._created(path, data):
                present = self.read(path)
                if present is None:
                    raise OSError(f"{path} was there, and is gone: another notary has removed it")
                if present != data:
                    return path, present
        return None

    def replace(self, path: str, data: bytes, before: bytes | None) -> bool:
        if before is None:
            return self._created(path, data)
        found = self._found(path)
        if found is None or found[0] != before:
            return False
        with _answers():
            try:
                obstore.put(self._store, path, data, mode={"e_tag": found[1]})
            except PreconditionError:
                return False
        return True

    def names(self, folder: str) -> Sequence[str]:
        with _answers():
            below = obstore.list_with_delimiter(self._store, f"{folder}/")["objects"]
        ordered = sorted(below, key=lambda each: (each["last_modified"], each["path"]))
        return [each["path"].rpartition("/")[2] for each in ordered]

    def remove(self, path: str) -> None:
        with _answers(), suppress(NotFoundError, FileNotFoundError):
            obstore.delete(self._store, path)

    def remove_below(self, folder: str) -> None:
        with _answers():
            for some in obstore.list(self._store, f"{folder}/"):
                obstore.delete(self._store, [each["path"] for each in some])

    def _created(self, path: str, data: bytes) -> bool:
        """False where there is such a file."""
        with _answers():
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def _found(self, path: str) -> tuple[bytes, str | None] | None:
        """The contents of a file and its ETag."""
        with _answers():
            try:
                result = obstore.get(self._store, path)
                return bytes(result.bytes()), result.meta["e_tag"]
            except (NotFoundError, FileNotFoundError):
                return None


@contextmanager
def _answers() -> Iterator[None]:
    """Raises OSError where the bucket does not answer, or refuses."""
    try:
        yield
    except BaseError as error:
        # its first line: the rest repeats the request
        raise OSError(
            f"the bucket: {type(error).__name__} {str(error).partition(chr(10))[0]}"
        ) from error
