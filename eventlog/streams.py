"""The streams of the log, and which kinds are recorded in which. Pure.

One stream holds everything, unless the configuration names a second one for the kinds of global
providers (authorization, tenants), which several regions can share.
"""

import msgspec

from secaplane.eventlog.subjects import ALL_SUBJECTS, GLOBAL, ROOT, escaped
from secaplane.kinds import KINDS


class Streams(msgspec.Struct, frozen=True):
    """Names of streams: `regional` for the kinds of regional providers, `worldwide` for the
    others."""

    regional: str
    worldwide: str = ""
    """Empty: the regional stream holds them, too."""

    @property
    def names(self) -> tuple[str, ...]:
        """All streams, the regional one first."""
        if self.worldwide in ("", self.regional):
            return (self.regional,)
        return (self.regional, self.worldwide)

    def of(self, kind: str) -> str:
        """The stream that records a kind; unknown kinds are recorded in the regional one."""
        known = KINDS.get(kind)
        if not self.worldwide or known is None or known.provider.regional:
            return self.regional
        return self.worldwide

    def subjects(self, stream: str, region: str) -> tuple[str, ...]:
        """The subjects that a stream is configured to hold."""
        if len(self.names) == 1:
            return (ALL_SUBJECTS,)
        return (f"{ROOT}.{GLOBAL if stream == self.worldwide else escaped(region)}.>",)
