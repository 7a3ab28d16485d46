"""Merkle trees of RFC 6962: hashes, roots and proofs."""
