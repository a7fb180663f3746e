"""The trained network as a policy."""

import numpy as np
import pytest

from agents.ppo import Architecture, QuoteNetwork, TrainedPolicy
from mmenv import Market, Problem, evaluate_exactly
from mmenv.envs import MarketMakingEnv
from tests.networks import random_weights


def trained(problem: Problem, fold: bool = True, seed: int = 0) -> TrainedPolicy:
    """A policy with large random weights, so that nothing about it is special."""
    architecture = Architecture.for_problem(problem, (16, 16), fold)
    network = QuoteNetwork(architecture, random_weights(architecture, 0.4, seed))
    return TrainedPolicy("random", problem, network, {"name": "random"})


@pytest.fixture
def problem() -> Problem:
    return Problem(Market(steps=12, max_inventory=5))


def test_table_and_prediction_are_one_policy(problem):
    policy, codec = trained(problem), problem.codec
    table = policy.tabulate(problem.market)
    for n, q in [(0, 0), (3, -5), (11, 5), (7, 2)]:
        action = policy.predict(codec.observe(n, 0, q))
        bid, ask = codec.depths(action)
        if q < 5:
            assert table.bid_depth[n, 0, q + 5] == pytest.approx(bid, abs=1e-6)
        if q > -5:
            assert table.ask_depth[n, 0, q + 5] == pytest.approx(ask, abs=1e-6)


def test_prediction_is_in_the_box_and_like_the_environment_plays_it(problem):
    policy, env = trained(problem), MarketMakingEnv(market=problem.market)
    observation, _ = env.reset(seed=0)
    table = policy.tabulate(problem.market)
    for n in range(problem.market.steps):
        action = policy.predict(observation)
        assert env.action_space.contains(action)
        q = env.unwrapped._state.inventory
        observation, _, _, _, info = env.step(action)
        if abs(q) < 5:
            assert info["bid_depth"] == pytest.approx(table.bid_depth[n, 0, q + 5], abs=1e-6)
            assert info["ask_depth"] == pytest.approx(table.ask_depth[n, 0, q + 5], abs=1e-6)


def test_folded_quotes_are_symmetric(problem):
    """bid(q) = ask(-q): the exact symmetry of a market without drift, whatever the weights."""
    table = trained(problem, fold=True).tabulate(problem.market)
    np.testing.assert_allclose(table.bid_depth[..., :-1], table.ask_depth[..., ::-1][..., :-1], atol=1e-6)
    unfolded = trained(problem, fold=False).tabulate(problem.market)
    assert np.abs(unfolded.bid_depth[..., :-1] - unfolded.ask_depth[..., ::-1][..., :-1]).max() > 0.01


def test_folded_policy_earns_as_much_mirrored(problem):
    """A consequence of the symmetry that the exact evaluation knows nothing of: no inventory on average."""
    evaluation = evaluate_exactly(problem.market, problem.objective, trained(problem).tabulate(problem.market))
    assert evaluation.final_inventory_mean == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("fold", [True, False])
def test_even_and_odd_parts_can_hold_any_symmetric_quotes(problem, fold):
    """The folded form restricts nothing but the symmetry: it fits arbitrary quotes with bid(q) = ask(-q)."""
    observations = problem.codec.observations[5, 0]
    bids = np.random.default_rng(1).random(11, dtype=np.float32)
    architecture = Architecture(observations.shape[1], (64, 64), fold, 1.0)
    network = QuoteNetwork(architecture, random_weights(architecture, 0.3))
    weights = network.weights("actor")
    gradients = [np.zeros_like(weight) for weight in weights]
    squares = [np.zeros_like(weight) for weight in weights]
    for i in range(3000):
        activations = network.actor.activations(network.actor_inputs(observations))
        error = network.mixed(observations, activations[-1]) - np.stack([bids, bids[::-1]], axis=1)
        for gradient in gradients:
            gradient[:] = 0
        network.actor.add_gradients(gradients, activations, network.unmixed(observations, error))
        for weight, gradient, square in zip(weights, gradients, squares, strict=True):  # RMSprop
            square += 0.01 * (gradient**2 - square)
            weight -= 0.005 * (1 - i / 3000) * gradient / (np.sqrt(square) + 1e-4)
    assert np.square(error).mean() < 1e-4


def test_one_unit_of_output_is_one_over_k():
    for k in (0.5, 5.0):
        problem = Problem(Market(depth_decay=k, min_depth=-1.5 / k, max_depth=4.5 / k))
        scale = Architecture.for_problem(problem, (8,), True).action_scale
        depths = problem.codec.depths(np.array([0.0, scale]))
        assert depths[1] - depths[0] == pytest.approx(1 / k)


def test_refuses_another_market(problem):
    with pytest.raises(ValueError, match="quotes only in the market it was trained in"):
        trained(problem).tabulate(Market(steps=13, max_inventory=5))


def test_refuses_observations_of_another_width(problem):
    with pytest.raises(ValueError, match=r"observations must have shape \(batch, \d\)"):
        trained(problem).predict(np.zeros((4, 1)))


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": 0},
        {"hidden": [0]},
        {"hidden": "64"},
        {"hidden": [8] * 9},
        {"fold": 1},
        {"action_scale": 0},
        {"outputs": 1},
    ],
)
def test_architecture_refuses_nonsense(change):
    values = {"inputs": 3, "hidden": [8], "fold": True, "action_scale": 1.0, "outputs": 2}
    assert Architecture.from_dict(values).to_dict() == values
    with pytest.raises((TypeError, ValueError), match=next(iter(change))):
        Architecture.from_dict(values | change)
