"""Progress of a long command: a bar on a terminal, lines elsewhere."""

from io import StringIO
from itertools import count

import pytest

from secaplane.cli.operate.progress_lines import ProgressLines, bar, described
from secaplane.projector.rebuild import Filled


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_come_every_few_seconds_with_rate_and_time_left() -> None:
    out, seconds = StringIO(), count(0.0, 1.0)
    progress = ProgressLines("replay", out, clock=lambda: next(seconds))
    for done in range(5000, 17_000, 1000):  # a resumed one begins with 5,000
        progress(Filled(done, 20_000))
    progress.end()
    assert out.getvalue().splitlines() == [
        "replay: 9,000 of 20,000 events, 1,000/s, 11 s left",
        "replay: 14,000 of 20,000 events, 1,000/s, 6 s left",
    ]


def test_a_terminal_has_a_bar_that_is_removed_at_the_end() -> None:
    out, seconds = Terminal(), count(0.0, 1.0)
    progress = ProgressLines("replay", out, clock=lambda: next(seconds))
    progress(Filled(10, 100))
    progress(Filled(50, 100))
    progress.end()
    half = "[" + "#" * 15 + "." * 15 + "]"
    assert f"\r\x1b[Kreplay {half} 50 of 100 events, 40/s, 1 s left" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")
    assert "\n" not in out.getvalue()


@pytest.mark.parametrize("filled", [Filled(0, 0), Filled(0, 10), Filled(10, 10), Filled(12, 10)])
def test_a_bar_has_one_width(filled: Filled) -> None:
    assert len(bar(filled)) == 32
    assert described(filled, rate=0).endswith(" events")
