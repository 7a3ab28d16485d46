"""Comparison of sealed strings without opening them. Pure."""

from secaplane.sealing.sealer import MARK


def fingerprint(text: str) -> str:
    """The part of a sealed string that is the same for the same secret of one life, sealed with the
    same key: it never leaves this process."""
    mark, *parts = text.split(":", 3)
    return ":".join(parts[:2]) if mark == MARK and len(parts) == 3 else text
