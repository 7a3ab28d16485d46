"""Starts compose.yaml on this machine and breaks it under load: `python -m tests.compose`.

Ends with 0 if every accepted write is there at the end, 1 if something failed, and 69 if this
machine cannot run containers, so that nothing was tested.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.compose import stand_ins
from tests.compose.engine import engine
from tests.compose.load import Load
from tests.compose.scenes import (
    SCENES,
    healthy,
    image_holds_the_product_alone,
    tenant_and_walk,
)
from tests.compose.shell import Failed, NoContainers, complain, say
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
    folder = Path(tempfile.mkdtemp(prefix="secaplane-compose-"))
    folder.chmod(0o755)
    try:
        with engine(folder) as running:
            stand_ins.make(running, folder / "images")
            site = prepared(running, folder / "site")
            try:
                _tried(site, arguments.scenes)
            except Failed as error:
                complain(f"FAILED {error}")
                raise
            finally:
                if arguments.keep:
                    env = " ".join(f"{k}={v}" for k, v in running.environment.items())
                    input(f"{env}; the site is in {site.folder}; Enter removes everything ")
                site.compose("down", "--volumes", "--timeout", "5")
    except NoContainers as error:
        complain(f"containers cannot be run here, nothing was tested: {error}")
        return UNAVAILABLE
    except Failed:
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say("every accepted write is there")
    return 0


def _tried(site: Site, scenes: Sequence[str]) -> None:
    began = time.monotonic()
    site.compose("up", "--build", "--detach", seconds=1800)
    healthy(site)
    say(f"up: all are healthy after {time.monotonic() - began:.0f} s, the build included")
    tenant_and_walk(site)
    say("a tenant, and the walk of the README")
    if not scenes:
        image_holds_the_product_alone(site)
        say("the image holds the product alone, and is the same when it is built again")
    with Load(site.url, site.tokens["TOKEN"]) as load:
        for scene in SCENES:
            if scenes and scene.__name__ not in scenes:
                continue
            began = time.monotonic()
            scene(site)
            healthy(site)
            time.sleep(UNDER_LOAD_S)
            took_s = time.monotonic() - began
            say(f"{scene.__name__}: {took_s:.0f} s; {load.gaps()}")
    load.verify()
    say(f"{len(load.promises.accepted)} resources written; {dict(load.promises.answers)}")


if __name__ == "__main__":
    sys.exit(main())
