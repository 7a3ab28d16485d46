"""HTTP as a sink: POST of JSON lines, or of a batch of CloudEvents. 2xx says that the receiver has
them."""

import ssl
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import aiohttp

from secaplane.audit.siem.sinks import ExportedLine, SinkUnavailable, joined

ANSWER_S_MAX = 30.0
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
SHOWN_MAX = 200
"""Characters of a refusal that are shown."""


class HttpSink:
    size = 0

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        cloudevents: bool,
    ) -> None:
        self._url, self._tls, self._cloudevents = url, tls, cloudevents
        content = "cloudevents-batch+json" if cloudevents else "x-ndjson"
        self._headers = {"Content-Type": f"application/{content}; charset=utf-8", **headers}
        self._at_once = sys.maxsize
        """Events of one request."""
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, lines: Sequence[ExportedLine]) -> None:
        """A delivery that is too large for the receiver is divided, down to one event, and later
        ones from the beginning."""
        taken = 0
        while taken < len(lines):
            part = lines[taken : taken + self._at_once]
            try:
                status, text = await self._post(self._body(part))
            except SinkUnavailable as error:
                raise SinkUnavailable(str(error), taken=taken) from error
            if status == TOO_LARGE and len(part) > 1:
                self._at_once = len(part) // 2
            elif 200 <= status < 300:
                taken += len(part)
            else:
                raise SinkUnavailable(f"{status}: {text[:SHOWN_MAX]}", taken=taken)

    async def _post(self, body: bytes) -> tuple[int, str]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        try:
            async with self._session.post(
                self._url, data=body, ssl=self._tls or True, allow_redirects=False
            ) as answer:
                head = await answer.content.read(SHOWN_MAX)
                return answer.status, head.decode("utf-8", "replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SinkUnavailable(str(error) or type(error).__name__) from error

    def _body(self, lines: Sequence[ExportedLine]) -> bytes:
        if self._cloudevents:
            return b"[" + b",".join(each.text for each in lines) + b"]"
        return joined(lines)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
