"""Policies: formulas and trained networks, each a function from the state of a market to quotes."""

from agents.analytic import AvellanedaStoikov, ContinuousOptimal, GueantLehalleFernandezTapia, Optimal
from agents.baselines import FixedSpread, LinearSkew, Symmetric
from agents.checkpoint import RunError, load
from agents.shipped import shipped
