"""What the simulated cloud does with a wish: once for each uid, however often it is asked.

No waiting and no wire: a call looks at the state, changes what is to change in one transaction, and
says how it stands. What was done is in the file before there is an answer that could get lost.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec.structs import replace

from model.shape import Position
from plugins.simulated.catalogue import Catalogue
from plugins.simulated.making import MAKINGS, NOTHING, POWER_AFTER, Declined, Making
from plugins.simulated.state import State
from plugins.simulated.wire import (
    Action,
    Answer,
    Faults,
    RefusedAnswer,
    SettledAnswer,
    Thing,
    Wish,
    WorkingAnswer,
)

Clock = Callable[[], float]
"""Seconds since 1970: a delay runs on while the cloud is away, and may be over when it is back."""


class Cloud:
    def __init__(self, state: State, catalogue: Catalogue, clock: Clock) -> None:
        self.state = state
        self.catalogue = catalogue
        self.faults = state.faults()
        """A copy of what the file says, so that faults cost nothing while there are none."""
        self._clock = clock

    def ensure(self, uid: str, wish: Wish) -> Answer:
        return self._changed(lambda: self._ensured(uid, wish))

    def act(self, uid: str, key: Position, action: Action) -> Answer:
        return self._changed(lambda: self._acted(uid, key, action))

    def remove(self, uid: str) -> Answer:
        with self.state.change():
            thing = self.state.thing(uid)
            if thing is None:
                return SettledAnswer()
            if not thing.going:
                thing = replace(thing, going=True, begun_at=self._clock())
                self.state.keep(thing)
            if isinstance(answer := self._progress(thing), WorkingAnswer):
                return answer
            self.state.forget(thing)
            return SettledAnswer()

    def misbehave(self, faults: Faults) -> None:
        with self.state.change():
            self.state.keep_faults(faults)
        self.faults = faults

    def _changed(self, change: Callable[[], Thing]) -> Answer:
        try:
            with self.state.change():
                return self._progress(change())
        except Declined as no:
            return RefusedAnswer(no.reason, no.message)

    def _ensured(self, uid: str, wish: Wish, *, anew: bool = False) -> Thing:
        decline_where_told(self.faults, wish)
        making = MAKINGS.get(wish.kind, NOTHING)
        former = self.state.thing(uid)
        here = former or self._begun(uid, wish, making)
        status = making.make(here, wish, self.catalogue)
        wanted = replace(here, spec=wish.spec, status=status, going=False)
        if wanted == former and not anew:
            return former
        wanted = replace(wanted, begun_at=self._clock())
        self.state.keep(wanted, new=former is None)
        return wanted

    def _begun(self, uid: str, wish: Wish, making: Making) -> Thing:
        thing = Thing(uid=uid, kind=wish.kind, path=wish.path, spec=wish.spec, begun_at=0)
        if making.pool is None:
            return thing
        number = self.state.allot(making.pool, uid)
        if number is None:
            raise Declined("AddressesUsedUp", f"all {making.pool.size} addresses are taken")
        return replace(thing, allotted=making.pool.allotted(number))

    def _acted(self, uid: str, key: Position, action: Action) -> Thing:
        """An older key than the last comes late: what it asks for has been overtaken since."""
        if action.action not in POWER_AFTER:
            raise Declined("ActionUnknown", f"nothing here can {action.action}")
        former = self.state.thing(uid)
        if former is not None and key <= self.state.last_key(uid):
            return former
        power = POWER_AFTER[action.action]
        wish = Wish(kind=action.kind, path=action.path, spec=action.spec, power=power)
        thing = self._ensured(uid, wish, anew=True)
        self.state.keep_action(thing, action.action, key)
        return thing

    def _progress(self, thing: Thing) -> WorkingAnswer | SettledAnswer:
        if self.faults.delay_s:
            left_s = thing.begun_at + self.faults.delay_s - self._clock()
            if left_s > 0:
                return WorkingAnswer(self.faults.look_again_s or left_s)
        return SettledAnswer(thing.status)


def decline_where_told(faults: Faults, wish: Wish) -> None:
    for each in faults.refuse:
        if each.kind in ("", wish.kind) and fnmatchcase(wish.name, each.name):
            raise Declined(each.reason, each.message)
