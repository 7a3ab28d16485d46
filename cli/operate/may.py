"""`secaplane may`: the question of an access review, for who stands at the machine."""

import sys
from dataclasses import asdict, dataclass
from math import inf

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, retrying, with_deadline
from secaplane.cli.processes.serve import NOT_NOW, watching
from secaplane.command.body import read_as
from secaplane.model.errors import Refusal
from secaplane.policy.grants.explain import answer
from secaplane.policy.grants.review import AccessReviewRequest, place
from secaplane.policy.watch import PolicyWatch

ANYBODY = "-"
NO, NOT_ASKED = 1, 2


@dataclass(frozen=True)
class AccessQuestion:
    verb: str
    path: str
    caller: str


async def may(config: Config, question: AccessQuestion) -> int:
    """0 for a yes, or for a list of who may; prints what the route would answer."""
    sent = asdict(question)
    if question.caller == ANYBODY:
        del sent["caller"]
    try:
        spec = read_as(AccessReviewRequest, {"spec": sent}).spec
        asked = place(spec)
    except Refusal as refusal:
        print(f"secaplane: {refusal.detail}", file=sys.stderr)
        return NOT_ASKED
    async with with_deadline(process_dependencies(config)) as process:
        watch = PolicyWatch(
            process.log, process.cache, stale_s=inf
        )  # answered once, as of that revision
        policy = watching(config, watch)
        await retrying(lambda: watch.start(process.pool), *NOT_NOW)
        status = await answer(policy, spec, asked, asked.tenant)
    print(msgspec.json.format(msgspec.json.encode(status)).decode())
    return NO if status.allowed is False else 0
