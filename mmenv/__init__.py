"""mmenv: market-making environments with their exact optimum."""

from mmenv.dynamics import Fills, Quotes, State, initial_state, step
from mmenv.market import Market
from mmenv.objectives import (
    ExponentialPenalty,
    ExponentialUtility,
    Objective,
    QuadraticPenalty,
    RiskNeutral,
    objective_from_dict,
)
from mmenv.quotes import Policy, QuoteTable
from mmenv.solver import ExactEvaluation, Solution, evaluate_exactly, solve
from mmenv.tape import Flow, Tape
