"""The C2SP formats of a transparency log: signed notes, checkpoints, tiles, proofs, policies."""
