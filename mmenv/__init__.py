"""mmenv: market-making environments with their exact optimum."""

from mmenv import closed_forms, envs
from mmenv.dynamics import Fills, Quotes, State, initial_state, step
from mmenv.envs.registration import register as _register
from mmenv.grading import Grade, grade
from mmenv.market import Market
from mmenv.objectives import (
    ExponentialPenalty,
    ExponentialUtility,
    Objective,
    QuadraticPenalty,
    RiskNeutral,
    objective_from_dict,
)
from mmenv.problem import Problem
from mmenv.quotes import Policy, QuoteTable
from mmenv.simulation import Paths, simulate
from mmenv.solver import ExactEvaluation, Solution, evaluate_exactly, solve
from mmenv.tape import Flow, Tape

_register()
