"""The reconciler's side of the simulated cloud."""

from collections.abc import Sequence
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from secaplane.model.position import Position
from secaplane.model.shape import PowerState, Resource
from secaplane.plugins import Bound, CatalogueEntry, InProgress, Outcome, Ready, TerminalError
from secaplane.plugins.simulated.wire import (
    ActionRequest,
    Answer,
    DesiredObject,
    InProgressAnswer,
    ReadyAnswer,
    TerminalErrorAnswer,
)

REQUEST_S_MAX = 5.0
CONNECTIONS_MAX = 100

_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(Answer)
_offers = msgspec.json.Decoder(list[CatalogueEntry])


class SimulatedPlugin:
    """Raises aiohttp.ClientError or TimeoutError for what may pass: outage, no answer."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def ensure(self, resource: Resource, bound: Bound) -> Outcome:
        desired = _wish(resource, bound, resource.power.desired)
        return _outcome(await self._ask("PUT", _thing(resource), _encode(desired)))

    async def act(self, resource: Resource, bound: Bound, action: str, key: Position) -> Outcome:
        body = ActionRequest(action=action, desired=_wish(resource, bound))
        return _outcome(
            await self._ask("POST", f"{_thing(resource)}/actions/{key.sequence}", _encode(body))
        )

    async def remove(self, resource: Resource) -> Outcome:
        return _outcome(await self._ask("DELETE", _thing(resource)))

    async def offers(self) -> Sequence[CatalogueEntry]:
        return _offers.decode(await self._ask("GET", "/offers"))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = URL(self._url + path, encoded=True)
        async with self._opened().request(method, url, data=body) as response:
            response.raise_for_status()
            return await response.read()

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first request, because a session belongs to the loop that it is made in."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_S_MAX),
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                headers={"Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # It would quietly send a PUT again when the answer was lost. To try again is the
            # reconciler's, which counts and waits; and only the reconciler can be tested for it.
            self._session._retry_connection = False
        return self._session


def _thing(resource: Resource) -> str:
    return f"/things/{quote(resource.uid, safe='')}"


def _wish(resource: Resource, bound: Bound, power: PowerState | None = None) -> DesiredObject:
    """Pointers begin with a slash, kinds do not."""
    uids = {place: other.uid for place, other in bound.items()}
    return DesiredObject(
        kind=resource.ref.kind,
        path=resource.ref.path,
        spec=resource.spec,
        power=power,
        targets={place: uid for place, uid in uids.items() if place.startswith("/")},
        around={place: uid for place, uid in uids.items() if not place.startswith("/")},
    )


def _outcome(body: bytes) -> Outcome:
    answer: Answer = _answer.decode(body)
    match answer:
        case ReadyAnswer(status):
            return Ready(status)
        case InProgressAnswer(look_again_s):
            return InProgress(look_again_s)
        case TerminalErrorAnswer(reason, message):
            return TerminalError(reason, message)
