"""Positions as tests write them: the nth event of the one stream."""

from secaplane.model.position import Position, position

STREAM = "SECA"


def nth(sequence: int) -> Position:
    return position(STREAM, sequence)
