"""Slow proofs, marked `proof` and run by `make proof`."""
