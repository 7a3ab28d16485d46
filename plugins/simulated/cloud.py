"""What the simulated cloud does with a wish: once for each uid, however often it is asked.

No waiting and no wire: a call looks at the state, changes what is to change in one transaction, and
says how it stands. What was done is in the file before there is an answer that could get lost.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec.structs import replace

from secaplane.model.shape import Position, PowerState
from secaplane.plugins.simulated.catalogue import Catalogue
from secaplane.plugins.simulated.provision import MAKINGS
from secaplane.plugins.simulated.provision.provisioner import NOTHING, Declined, NotYet
from secaplane.plugins.simulated.state import State
from secaplane.plugins.simulated.wire import (
    Action,
    Answer,
    Faults,
    RefusedAnswer,
    SettledAnswer,
    Thing,
    Wish,
    WorkingAnswer,
)
from secaplane.plugins.simulated.world import Chance, Clock, World

POWER_AFTER: dict[str, PowerState] = {"start": "on", "stop": "off", "restart": "on"}
LOOK_AGAIN_S = 1.0
"""Where the cloud itself waits for something."""


class Cloud:
    def __init__(self, state: State, catalogue: Catalogue, clock: Clock, chance: Chance) -> None:
        self.state = state
        self.catalogue = catalogue
        self.faults = state.faults()
        """A copy of what the file says, so that faults cost nothing while there are none."""
        self._clock = clock
        self._world = World(state, catalogue, clock, chance)

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
                self._keep(thing)
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
        except NotYet:
            return WorkingAnswer(LOOK_AGAIN_S)

    def _ensured(self, uid: str, wish: Wish, *, anew: bool = False) -> Thing:
        """A wish that is as it was is looked at all the same, for the status may depend on others;
        but nothing begins that could take its time."""
        decline_where_told(self.faults, wish)
        former = self.state.thing(uid)
        here = former or Thing(
            uid=uid, kind=wish.kind, path=wish.path, spec=wish.spec, around=wish.around, begun_at=0
        )
        wanted = replace(
            here,
            spec=wish.spec,
            power=wish.power or here.power,
            targets=wish.targets,
            around=wish.around,
            status=MAKINGS.get(wish.kind, NOTHING).make(here, wish, self._world),
            going=False,
        )
        if anew or former is None or _asks_more(former, wanted):
            wanted = replace(wanted, begun_at=self._clock())
        if wanted != former:
            self._keep(wanted, new=former is None)
        return wanted

    def _keep(self, thing: Thing, *, new: bool = False) -> None:
        self.state.keep(thing, MAKINGS.get(thing.kind, NOTHING).holds(thing), new=new)

    def _acted(self, uid: str, key: Position, action: Action) -> Thing:
        """An older key than the last comes late: what it asks for has been overtaken since."""
        if action.action not in POWER_AFTER:
            raise Declined("ActionUnknown", f"nothing here can {action.action}")
        former = self.state.thing(uid)
        if former is not None and key <= self.state.last_key(uid):
            return former
        wish = replace(action.wish, power=POWER_AFTER[action.action])
        thing = self._ensured(uid, wish, anew=True)
        self.state.keep_action(thing, action.action, key)
        return thing

    def _progress(self, thing: Thing) -> WorkingAnswer | SettledAnswer:
        if self.faults.delay_s:
            left_s = thing.begun_at + self.faults.delay_s - self._clock()
            if left_s > 0:
                return WorkingAnswer(self.faults.look_again_s or left_s)
        return SettledAnswer(thing.status)


def _asks_more(former: Thing, wanted: Thing) -> bool:
    power_differs = (former.power or "off") != (wanted.power or "off")
    return former.going or power_differs or former.spec != wanted.spec


def decline_where_told(faults: Faults, wish: Wish) -> None:
    for each in faults.refuse:
        if each.kind in ("", wish.kind) and fnmatchcase(wish.name, each.name):
            raise Declined(each.reason, each.message)
