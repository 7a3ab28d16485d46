"""The trusted issuers of the configuration, whose keys are fetched in the background."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from secaplane.cli.config import Config
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.metrics import Metrics
from secaplane.policy.tokens.caller import TokenVerifier
from secaplane.policy.tokens.fetch import fetcher, web_session
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations


@dataclass(frozen=True)
class TrustedIssuers:
    """The verifier of tokens, and the state of the keys that it uses."""

    tokens: TokenVerifier
    issuers: Sequence[IssuerKeys]

    @property
    def reasons(self) -> list[str]:
        """Issuers whose tokens cannot be verified, with the cause."""
        return [
            f"the keys of {each.issuer.issuer} {each.unavailable}"
            for each in self.issuers
            if each.unavailable
        ]

    @property
    def remarks(self) -> list[str]:
        """Issuers whose keys could not be fetched, but are still valid."""
        return [
            f"the keys of {each.issuer.issuer} {each.remark}"
            for each in self.issuers
            if each.remark and not each.unavailable
        ]


@asynccontextmanager
async def trusted_issuers(
    config: Config, revocations: Revocations, metrics: Metrics
) -> AsyncIterator[TrustedIssuers]:
    """Fetches keys until the context ends.

    Raises:
        BadConfig: a key file cannot be used.
    """
    issuers = _issuers(config, metrics)
    async with web_session() as session, asyncio.TaskGroup() as group:
        fetches = [group.create_task(each.run(fetcher(each.issuer, session))) for each in issuers]
        yield TrustedIssuers(TokenVerifier(issuers, revocations), issuers)
        for fetch in fetches:
            fetch.cancel()


def _issuers(config: Config, metrics: Metrics) -> list[IssuerKeys]:
    failures = Counter(
        "secaplane_issuer_key_fetch_failures",
        "Failed fetches of an issuer's keys",
        ["issuer"],
        registry=metrics.registry,
    )
    ages = Gauge(
        "secaplane_issuer_keys_age_seconds",
        "Seconds since an issuer's keys were last fetched; infinite if never",
        ["issuer"],
        registry=metrics.registry,
    )
    try:
        made = [
            IssuerKeys(
                each,
                every_s=config.auth.keys_refresh_seconds,
                stale_s=config.auth.keys_stale_seconds,
                failed=failures.labels(each.issuer).inc,
            )
            for each in config.auth.issuers
        ]
    except ValueError as error:
        raise BadConfig(f"auth.issuers: {error}") from error
    for each in made:
        ages.labels(each.issuer.issuer).set_function(_age(each))
    return made


def _age(keys: IssuerKeys) -> Callable[[], float]:
    return lambda: keys.age_s
