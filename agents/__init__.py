"""Policies: formulas and trained networks, each a function from the state of a market to quotes."""

from agents.checkpoint import RunError, load
