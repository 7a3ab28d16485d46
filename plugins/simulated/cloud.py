"""What the simulated cloud does with a wish: once for each uid, however often it is asked.

No waiting and no wire: a call looks at the state, changes what is to change in one transaction, and
says how it stands. What was done is in the file before there is an answer that could get lost.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec.structs import replace

from secaplane.model.shape import PowerState
from secaplane.plugins.simulated.catalogue import Catalogue
from secaplane.plugins.simulated.provision import PROVISIONERS
from secaplane.plugins.simulated.provision.provisioner import (
    NOTHING,
    ProvisionPending,
    ProvisionRefused,
)
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import (
    ActionRequest,
    Answer,
    CloudObject,
    DesiredObject,
    Faults,
    InProgressAnswer,
    ReadyAnswer,
    TerminalErrorAnswer,
)
from secaplane.plugins.simulated.world import Chance, Clock, CloudView

POWER_AFTER: dict[str, PowerState] = {"start": "on", "stop": "off", "restart": "on"}
LOOK_AGAIN_S = 1.0
"""Where the cloud itself waits for something."""


class SimulatedCloud:
    def __init__(
        self, state: CloudState, catalogue: Catalogue, clock: Clock, chance: Chance
    ) -> None:
        self.state = state
        self.catalogue = catalogue
        self.faults = state.faults()
        """A copy of what the file says, so that faults cost nothing while there are none."""
        self._clock = clock
        self._world = CloudView(state, catalogue, clock, chance)

    def ensure(self, uid: str, desired: DesiredObject) -> Answer:
        return self._changed(lambda: self._ensured(uid, desired))

    def act(self, uid: str, key: int, action: ActionRequest) -> Answer:
        return self._changed(lambda: self._acted(uid, key, action))

    def remove(self, uid: str) -> Answer:
        with self.state.change():
            thing = self.state.thing(uid)
            if thing is None:
                return ReadyAnswer()
            if not thing.terminating:
                thing = replace(thing, terminating=True, begun_at=self._clock())
                self._keep(thing)
            if isinstance(answer := self._progress(thing), InProgressAnswer):
                return answer
            self.state.forget(thing)
            return ReadyAnswer()

    def misbehave(self, faults: Faults) -> None:
        with self.state.change():
            self.state.keep_faults(faults)
        self.faults = faults

    def _changed(self, change: Callable[[], CloudObject]) -> Answer:
        try:
            with self.state.change():
                return self._progress(change())
        except ProvisionRefused as no:
            return TerminalErrorAnswer(no.reason, no.message)
        except ProvisionPending:
            return InProgressAnswer(LOOK_AGAIN_S)

    def _ensured(self, uid: str, desired: DesiredObject, *, anew: bool = False) -> CloudObject:
        """A wish that is as it was is looked at all the same, for the status may depend on others;
        but nothing begins that could take its time."""
        decline_where_told(self.faults, desired)
        former = self.state.thing(uid)
        here = former or CloudObject(
            uid=uid,
            kind=desired.kind,
            path=desired.path,
            spec=desired.spec,
            around=desired.around,
            begun_at=0,
        )
        wanted = replace(
            here,
            spec=desired.spec,
            power=desired.power or here.power,
            targets=desired.targets,
            around=desired.around,
            status=PROVISIONERS.get(desired.kind, NOTHING).make(here, desired, self._world),
            terminating=False,
        )
        if anew or former is None or _asks_more(former, wanted):
            wanted = replace(wanted, begun_at=self._clock())
        if wanted != former:
            self._keep(wanted, new=former is None)
        return wanted

    def _keep(self, thing: CloudObject, *, new: bool = False) -> None:
        self.state.keep(thing, PROVISIONERS.get(thing.kind, NOTHING).holds(thing), new=new)

    def _acted(self, uid: str, key: int, action: ActionRequest) -> CloudObject:
        """An older key than the last comes late: what it asks for has been overtaken since."""
        if action.action not in POWER_AFTER:
            raise ProvisionRefused("ActionUnknown", f"nothing here can {action.action}")
        former = self.state.thing(uid)
        if former is not None and key <= self.state.last_key(uid):
            return former
        desired = replace(action.desired, power=POWER_AFTER[action.action])
        thing = self._ensured(uid, desired, anew=True)
        self.state.keep_action(thing, action.action, key)
        return thing

    def _progress(self, thing: CloudObject) -> InProgressAnswer | ReadyAnswer:
        if self.faults.delay_s:
            left_s = thing.begun_at + self.faults.delay_s - self._clock()
            if left_s > 0:
                return InProgressAnswer(self.faults.look_again_s or left_s)
        return ReadyAnswer(thing.status)


def _asks_more(former: CloudObject, wanted: CloudObject) -> bool:
    power_differs = (former.power or "off") != (wanted.power or "off")
    return former.terminating or power_differs or former.spec != wanted.spec


def decline_where_told(faults: Faults, desired: DesiredObject) -> None:
    for each in faults.refuse:
        if each.kind in ("", desired.kind) and fnmatchcase(desired.name, each.name):
            raise ProvisionRefused(each.reason, each.message)
