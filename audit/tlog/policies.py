"""Policies (c2sp.org/tlog-policy): which logs and witnesses are trusted, and which witnesses must
have cosigned a checkpoint. Pure.

    log <key> [<url>]
    witness <name> <key> [<url>]
    group <name> <k, any or all> <name>...
    quorum <name, or none>
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead
from secaplane.audit.tlog.cosignatures import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    COSIGNED_AT_END,
    cosigned_at,
    note_verifier,
)
from secaplane.audit.tlog.signed_notes import (
    ED25519,
    NoteSignature,
    NoteVerifier,
    PublicKey,
    SignedNote,
    WrongNote,
    parse_public_key,
    verified,
)

NONE = "none"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class WitnessGroup(NamedTuple):
    """Cosigned when at least `threshold` members have; a member is a witness or a group."""

    threshold: int
    members: tuple[str, ...]


class TrustedKey(NamedTuple):
    verifier: NoteVerifier
    public: PublicKey
    url: str


class VerifiedCheckpoint(NamedTuple):
    """A checkpoint that a policy accepts: the head, and the witnesses that have cosigned it."""

    head: TreeHead
    log_keys: tuple[str, ...]
    witnesses: tuple[str, ...]
    cosignatures: tuple[NoteSignature, ...]


class TlogPolicy:
    """A policy that was read. Keys of every log and witness are different."""

    def __init__(
        self,
        logs: list[TrustedKey],
        witnesses: Mapping[str, TrustedKey],
        groups: Mapping[str, WitnessGroup],
        quorum: str,
    ) -> None:
        self.logs, self.witnesses, self.groups, self.quorum = logs, witnesses, groups, quorum

    def verify(self, checkpoint: SignedCheckpoint) -> VerifiedCheckpoint:
        """Check the signatures of a checkpoint of one of the logs.

        Raises:
            WrongNote: no trusted key of the log has signed it, the quorum has not cosigned it, or a
                signature line of a trusted key is wrong or damaged.
        """
        head, note = checkpoint
        own = [each.verifier for each in self.logs if each.public.name == head.origin]
        if not own:
            raise WrongNote(f"the policy names no key of the log {head.origin}")
        by_log = verified(note, own)
        if not by_log:
            raise WrongNote(f"no key that the policy names for {head.origin} has signed")
        cosignatures = verified(note, [each.verifier for each in self.witnesses.values()])
        self._refuse_impossible_times(note)
        signed = {(each.name, each.key_id) for each in cosignatures}
        present = tuple(
            name
            for name, key in self.witnesses.items()
            if (key.public.name, key.public.key_id) in signed
        )
        if not self.reached(present):
            raise WrongNote(f"the quorum {self.quorum} is not reached: cosigned by {present}")
        return VerifiedCheckpoint(head, tuple(each.name for each in by_log), present, cosignatures)

    def _refuse_impossible_times(self, note: SignedNote) -> None:
        """A trusted witness may have a key that the policy does not name, but its cosignature has a
        time all the same: a damaged line is no line of another key."""
        names = {each.public.name for each in self.witnesses.values()}
        for each in note.signatures:
            if each.name in names and cosigned_at(each.signature) >= COSIGNED_AT_END:
                raise WrongNote(f"the cosignature of {each.name} has an impossible time")

    def reached(self, present: tuple[str, ...]) -> bool:
        """True if these witnesses are a quorum."""
        return self.quorum == NONE or self._holds(self.quorum, present)

    def _holds(self, name: str, present: tuple[str, ...]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in present
        return sum(self._holds(each, present) for each in group.members) >= group.threshold


class _Reading:
    """A policy while its lines are read."""

    def __init__(self) -> None:
        self.logs = list[TrustedKey]()
        self.witnesses = dict[str, TrustedKey]()
        self.groups = dict[str, WitnessGroup]()
        self.quorum = ""
        self._keys, self._members = set[bytes](), set[str]()

    def log(self, key: str, url: str = "") -> None:
        self.logs.append(self._key(key, url, ED25519))

    def witness(self, name: str, key: str, url: str = "") -> None:
        self._define(name)
        self.witnesses[name] = self._key(key, url, COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)

    def group(self, name: str, threshold: str, *members: str) -> None:
        self._define(name)
        for each in members:
            if each not in self.witnesses and each not in self.groups:
                raise ValueError(f"{each} is not defined on a line before")
            if each in self._members:
                raise ValueError(f"{each} is a member twice")
            self._members.add(each)
        self.groups[name] = WitnessGroup(_threshold(threshold, len(members)), members)

    def set_quorum(self, name: str) -> None:
        if self.quorum:
            raise ValueError("a second quorum")
        if name != NONE and name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name} is not defined on a line before")
        self.quorum = name

    def _define(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise ValueError(f"the name {name} is used already")

    def _key(self, text: str, url: str, *algorithms: int) -> TrustedKey:
        public = parse_public_key(text)
        if public.algorithm not in algorithms:
            raise ValueError(f"the key {public.name} has the wrong type for this line")
        if public.key in self._keys:
            raise ValueError(f"the key {public.name} is named twice")
        self._keys.add(public.key)
        return TrustedKey(note_verifier(public), public, url)


def parse_policy(text: str) -> TlogPolicy:
    """A policy from its text.

    Raises:
        ValueError: a line is malformed, or there is no quorum; the text names the line.
    """
    reading = _Reading()
    lines: Mapping[str, Callable[..., None]] = {
        "log": reading.log,
        "witness": reading.witness,
        "group": reading.group,
        "quorum": reading.set_quorum,
    }
    for number, line in enumerate(text.split("\n"), 1):
        words = line.replace("\t", " ").split(" ")
        keyword, *values = [word for word in words if word] or ["#"]
        if keyword.startswith("#"):
            continue
        try:
            if _CONTROL.search(line):
                raise ValueError("a control character")
            lines[keyword](*values)
        except KeyError as error:
            raise ValueError(f"line {number}: {keyword} begins no line of a policy") from error
        except TypeError as error:
            raise ValueError(f"line {number}: too few or too many words") from error
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    if not reading.quorum:
        raise ValueError("a policy has one line `quorum`")
    return TlogPolicy(reading.logs, reading.witnesses, reading.groups, reading.quorum)


def _threshold(text: str, members: int) -> int:
    named = {"all": members, "any": 1}
    threshold = named[text] if text in named else int(text) if text.isdecimal() else 0
    if not 1 <= threshold <= members:
        raise ValueError(f"a group of {members} members has no threshold {text}")
    return threshold
