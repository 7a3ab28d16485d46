"""`secaplane plugin check`: runs the contract suite of plugins against a configured cloud."""

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.reconcilers import configured_plugin
from secaplane.plugins import contract

FAILED = "FAILED"


async def check(config: Config, name: str) -> int:
    """Run every check and print a line for each; 1 if one failed. The checks create resources of
    their own in the cloud and remove them.

    Raises:
        BadConfig: the plugin is not installed or refuses its settings.
    """
    cloud = msgspec.structs.replace(config.cloud, plugin=name)
    chosen = msgspec.structs.replace(config, cloud=cloud)
    await configured_plugin(chosen).close()
    subject = contract.Subject(lambda: configured_plugin(chosen))
    failed = 0
    for each in contract.CHECKS:
        verdict = await _verdict(each, subject)
        failed += verdict.startswith(FAILED)
        print(f"{contract.name(each).replace('_', ' ')}: {verdict}", flush=True)
    return 1 if failed else 0


async def _verdict(check: contract.Check, subject: contract.Subject) -> str:
    try:
        await contract.run_check(check, subject)
    except contract.NotApplicable as reason:
        return f"skipped, {reason}"
    except contract.ContractBroken as reason:
        return f"{FAILED}, {reason}"
    return "ok"
