"""`secaplane may`: an access review on the command line."""

import sys
from dataclasses import asdict, dataclass
from math import inf

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, retrying, with_deadline
from secaplane.cli.processes.serve import POLICY_ERRORS
from secaplane.cli.processes.wiring import watching
from secaplane.command.body import read_as
from secaplane.model.errors import Refusal
from secaplane.policy.grants.explain import answer
from secaplane.policy.grants.review import AccessReviewRequest, place
from secaplane.policy.watch import PolicyWatch

EVERY_CALLER = "-"
DENIED, INVALID = 1, 2


@dataclass(frozen=True)
class AccessQuestion:
    verb: str
    path: str
    caller: str


async def may(config: Config, question: AccessQuestion) -> int:
    """Prints the status that the API route answers. Exit status: 0 allowed, or a list of callers;
    1 denied; 2 not a valid question.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    sent = asdict(question)
    if question.caller == EVERY_CALLER:
        del sent["caller"]
    try:
        spec = read_as(AccessReviewRequest, {"spec": sent}).spec
        target = place(spec)
    except Refusal as refusal:
        print(f"secaplane: {refusal.detail}", file=sys.stderr)
        return INVALID
    async with with_deadline(process_dependencies(config)) as process:
        # never stale: it answers once, as of the revision it has read
        watch = PolicyWatch(process.log, process.cache, stale_s=inf)
        policy = watching(config, watch)
        await retrying(
            lambda: watch.start(process.pool), *POLICY_ERRORS, awaited="the authorization policy"
        )
        status = await answer(policy, spec, target, target.tenant)
    print(msgspec.json.format(msgspec.json.encode(status)).decode())
    return DENIED if status.allowed is False else 0
