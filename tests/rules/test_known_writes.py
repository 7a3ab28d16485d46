"""A process knows of every write that was answered, or asks the log."""

from dataclasses import dataclass, field

from secaplane.readmodel.known_writes import ASKED_S_MAX, SILENT_S_MAX, KnownWrites
from secaplane.readmodel.progress import Progress
from tests.positions import nth


@dataclass
class Scene:
    """A process that reads, on connection 0; the projector announces itself when time passes."""

    now: float = 100.0
    connection: int | None = 0
    projector_runs: bool = True
    progress: Progress = field(init=False)
    known: KnownWrites = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(lambda: self.now)
        self.known = KnownWrites(self.progress, lambda: self.connection, lambda: self.now)

    def pass_time(self, seconds: float) -> "Scene":
        self.now += seconds
        if self.projector_runs:
            self.progress.announce(nth(1))
        return self

    def ask(self) -> "Scene":
        self.known.answered(self.known.asking())
        return self


def test_nothing_is_known_before_the_end_of_the_log_was_asked_for() -> None:
    scene = Scene()
    assert not scene.known.complete
    assert scene.ask().known.complete


def test_a_connection_that_is_lost_may_have_lost_a_message() -> None:
    scene = Scene().ask()
    scene.connection = None
    assert not scene.known.complete
    scene.connection = 1
    assert not scene.known.complete
    assert scene.ask().known.complete


def test_a_connection_that_is_lost_and_made_again_between_two_reads_is_noticed() -> None:
    scene = Scene().ask()
    scene.connection = 1
    assert not scene.known.complete


def test_an_end_that_was_asked_for_over_a_former_connection_says_nothing() -> None:
    scene = Scene()
    question = scene.known.asking()
    scene.connection = 1
    scene.known.answered(question)
    assert not scene.known.complete


def test_a_process_that_was_stopped_asks_before_it_relies_on_its_notices() -> None:
    """The first message that it gets may be an announcement of before."""
    scene = Scene().ask().pass_time(ASKED_S_MAX + 1)
    assert not scene.known.complete
    assert scene.ask().known.complete


def test_a_silent_projector_leaves_the_log_to_be_asked() -> None:
    scene = Scene().ask()
    scene.projector_runs = False
    assert scene.pass_time(SILENT_S_MAX / 2).known.complete
    assert not scene.pass_time(SILENT_S_MAX).known.complete
    assert not scene.ask().known.complete
    scene.projector_runs = True
    assert not scene.pass_time(0.1).known.complete  # a write may have been answered meanwhile
    assert scene.ask().known.complete
