"""The notary: one Merkle log for each stream, written as tiles, with signed checkpoints."""
