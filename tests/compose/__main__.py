"""Starts compose.yaml on this machine and breaks it under load: `python -m tests.compose`.

Ends with 0 if every accepted write is there at the end, 1 if something failed, and 69 if this
machine cannot run containers, so that nothing was tested.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.compose import stand_ins
from tests.compose.engine import engine
from tests.compose.load import Load
from tests.compose.scenes import (
    SCENES,
    healthy,
    image_holds_the_product_alone,
    intact,
    tenant_and_walk,
)
from tests.compose.shell import Failed, NoContainers, complain, say, timed
from tests.compose.site import Site, prepared

UNAVAILABLE = 69
"""As in sysexits.h."""
UNDER_LOAD_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="wait for Enter before all is removed")
    parser.add_argument(
        "scenes", nargs="*", choices=[[], *(each.__name__ for each in SCENES)], help="default: all"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stopped)
    folder = Path(tempfile.mkdtemp(prefix="secaplane-compose-"))
    folder.chmod(0o755)
    try:
        with timed("all"):
            _run(folder, arguments.scenes, keep=arguments.keep)
    except NoContainers as error:
        complain(f"containers cannot be run here, nothing was tested: {error}")
        return UNAVAILABLE
    except Failed as error:
        complain(f"FAILED {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("PASSED: every accepted write is there, and the cloud holds nothing else")
    return 0


def _stopped(number: int, frame: FrameType | None) -> None:
    """Ends as after Ctrl-C: containers and engine are removed on the way out."""
    raise KeyboardInterrupt


def _run(folder: Path, scenes: Sequence[str], *, keep: bool) -> None:
    with engine(folder) as running:
        with timed("stand-ins for the base images"):
            stand_ins.make(running, folder / "images")
        site = prepared(running, folder / "site")
        try:
            _tried(site, scenes)
        except Failed as error:
            complain(f"FAILED {error}" if keep else "FAILED; removing everything")
            raise
        finally:
            if keep:
                env = " ".join(f"{k}={v}" for k, v in running.environment.items())
                input(f"{env}; the site is in {site.folder}; Enter removes everything ")
            site.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


def _tried(site: Site, scenes: Sequence[str]) -> None:
    with timed("up, the build included"):
        site.compose("up", "--build", "--detach", seconds=1800)
        count = healthy(site)
    say(f"{count} of {count} are healthy")
    with timed("a tenant, and the walk of the README"):
        tenant_and_walk(site)
    if not scenes:
        with timed("the image holds the product alone, and is the same when it is built again"):
            image_holds_the_product_alone(site)
    with Load(site.url, site.tokens["TOKEN"]) as load:
        for scene in SCENES:
            if scenes and scene.__name__ not in scenes:
                continue
            with timed(scene.__name__):
                scene(site)
                healthy(site)
                time.sleep(UNDER_LOAD_S)
            say(f"  {load.gaps()}")
    say(f"{len(load.promises.accepted)} resources written; {dict(load.promises.answers)}")
    with timed("every accepted write is there and settled"):
        load.verify()
    with timed("intact"):
        intact(site)


if __name__ == "__main__":
    sys.exit(main())
