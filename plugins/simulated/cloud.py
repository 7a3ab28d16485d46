"""The behaviour of the simulated cloud: idempotent by uid, guarded by fences.

There is no IO but the state file: a call reads the state, makes its changes in one transaction and
answers. What was changed is in the file before an answer exists that could get lost.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from msgspec.structs import replace

from secaplane.model.shape import PowerState
from secaplane.plugins.plugin import Absent, Fence, FenceRejected, Observation, Observed
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
REQUEUE_AFTER_S = 1.0
"""`requeue_after_s` while the cloud itself waits for another thing."""
REMOVED = TerminalErrorAnswer("Removed", "this uid was removed; nothing is made for it again")


class SimulatedCloud:
    def __init__(
        self, state: CloudState, catalogue: Catalogue, clock: Clock, chance: Chance
    ) -> None:
        self.state = state
        self.catalogue = catalogue
        self.faults = state.faults()
        """A copy of the stored faults, so that calls need not read them."""
        self._clock = clock
        self._world = CloudView(state, catalogue, clock, chance)

    def ensure(self, uid: str, desired: DesiredObject, fence: Fence) -> Answer:
        return self._changed(uid, fence, lambda: self._ensured(uid, desired))

    def act(self, uid: str, key: int, action: ActionRequest, fence: Fence) -> Answer:
        return self._changed(uid, fence, lambda: self._acted(uid, key, action))

    def remove(self, uid: str, fence: Fence) -> Answer:
        with self.state.change():
            if not self._advance(uid, fence):
                self.state.keep_removed(uid)
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

    def observe(self, uid: str, fence: Fence) -> Observation:
        greatest = self.state.fence(uid)
        if greatest is not None and fence < greatest:
            raise FenceRejected(f"{uid}: {fence} is older than {greatest}")
        thing = self.state.thing(uid)
        return Absent() if thing is None else Observed(thing.status)

    def put_behind(self, thing: CloudObject) -> None:
        """Make or change a thing as if by hand in the cloud: no fence, no memory of removals."""
        with self.state.change():
            self._keep(thing, new=self.state.thing(thing.uid) is None)

    def lose_behind(self, uid: str) -> None:
        """Lose a thing as a cloud may that fails: it is not remembered as removed."""
        with self.state.change():
            if (thing := self.state.thing(uid)) is not None:
                self.state.forget(thing)

    def inject(self, faults: Faults) -> None:
        with self.state.change():
            self.state.keep_faults(faults)
        self.faults = faults

    def _changed(self, uid: str, fence: Fence, change: Callable[[], CloudObject]) -> Answer:
        """The fence is stored also where the change is refused; a refused change stores nothing
        else, because it is refused before its first write."""
        with self.state.change():
            if self._advance(uid, fence):
                return REMOVED
            try:
                return self._progress(change())
            except ProvisionRefused as refusal:
                return TerminalErrorAnswer(refusal.reason, refusal.message)
            except ProvisionPending:
                return InProgressAnswer(REQUEUE_AFTER_S)

    def _advance(self, uid: str, fence: Fence) -> bool:
        """Store the fence; True if the uid was removed. An equal fence is the same call again."""
        removed = self.state.advance(uid, fence)
        if removed is None:
            raise FenceRejected(f"{uid}: {fence} is older than {self.state.fence(uid)}")
        return removed

    def _ensured(self, uid: str, desired: DesiredObject, *, anew: bool = False) -> CloudObject:
        """The status is computed also when nothing else changed, because it may depend on other
        things; but only a change of the desired state takes time."""
        decline_injected(self.faults, desired)
        former = self.state.thing(uid)
        current = former or CloudObject(
            uid=uid,
            kind=desired.kind,
            path=desired.path,
            spec=desired.spec,
            parents=desired.parents,
            begun_at=0,
        )
        changed = replace(
            current,
            spec=desired.spec,
            power=desired.power or current.power,
            targets=desired.targets,
            parents=desired.parents,
            status=PROVISIONERS.get(desired.kind, NOTHING).make(current, desired, self._world),
        )
        if anew or former is None or _takes_time(former, changed):
            changed = replace(changed, begun_at=self._clock())
        if changed != former:
            self._keep(changed, new=former is None)
        return changed

    def _keep(self, thing: CloudObject, *, new: bool = False) -> None:
        self.state.keep(thing, PROVISIONERS.get(thing.kind, NOTHING).holds(thing), new=new)

    def _acted(self, uid: str, key: int, action: ActionRequest) -> CloudObject:
        """A key not newer than the last one is a late or repeated request: nothing is done."""
        if action.action not in POWER_AFTER:
            raise ProvisionRefused("ActionUnknown", f"this cloud has no action {action.action}")
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
                return InProgressAnswer(self.faults.requeue_after_s or left_s)
        return ReadyAnswer(thing.status)


def _takes_time(former: CloudObject, changed: CloudObject) -> bool:
    power_differs = (former.power or "off") != (changed.power or "off")
    return power_differs or former.spec != changed.spec


def decline_injected(faults: Faults, desired: DesiredObject) -> None:
    """Raises ProvisionRefused where an injected fault matches."""
    for fault in faults.refuse:
        if fault.kind in ("", desired.kind) and fnmatchcase(desired.name, fault.name):
            raise ProvisionRefused(fault.reason, fault.message)
