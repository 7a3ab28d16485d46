"""CPU of reading large bodies, whatever they hold: parsing, and validation as a PUT's body."""

import gc
import time
from contextlib import suppress

from secaplane.cli.processes import gc_tuning
from secaplane.command.body import BodyReader
from secaplane.edge.requests import strict_json
from secaplane.kinds import KINDS
from secaplane.model.errors import Refusal
from tests.bench.figures import Figure, figure
from tests.body_shapes import ZEROS, bodies

SIZE = 1024 * 1024
REPEATS = 3
BODIES = BodyReader(region="eu-1")


def measure() -> dict[str, Figure]:
    """The worst of all shapes, against a list of zeros of the same size."""
    thresholds = gc.get_threshold()
    gc_tuning.ready()
    try:
        zeros = ("workspace", ZEROS(SIZE).encode())
        _read_s(*zeros)
        expected_s = min(_read_s(*zeros) for _ in range(REPEATS))
        worst = sorted(bodies(SIZE), key=lambda each: -_read_s(*each[1:]))[0]
        taken = [_read_s(*worst[1:]) for _ in range(REPEATS)]
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    return {"parse_growth": figure([each / expected_s for each in taken], "ratio")}


def _read_s(kind: str, body: bytes) -> float:
    began = time.process_time()
    with suppress(Refusal):
        BODIES.read(KINDS[kind], strict_json.read(body))
    return time.process_time() - began
