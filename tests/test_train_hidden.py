"""Training where observations do not tell the regime: next values averaged by the regime that is there."""

import itertools

import numpy as np
import pytest
import torch

from mmenv import Market
from mmenv.tape import Tape
from train.advantages import regime_means
from train.algorithm import MarketMakingPPO
from train.config import TrainingConfig

LIMIT, STEPS, SESSIONS = 2, 8, 10
MARKET = {
    "steps": STEPS,
    "horizon": 0.04,
    "max_inventory": LIMIT,
    "arrival_rate": [40.0, 150.0],
    "depth_decay": [1.0, 2.5],
    "transition_matrix": [[0.6, 0.4], [0.3, 0.7]],
}


def after_a_rollout(seen: str) -> MarketMakingPPO:
    """PPO with the rollout of its first sessions in the buffer."""
    config = TrainingConfig(
        env_kwargs={**MARKET, "regime_observation": seen},
        seed=5,
        n_timesteps=STEPS * SESSIONS,
        rollout_size=STEPS * SESSIONS,
        hidden=(8,),
    )
    algorithm = MarketMakingPPO(config.problem, config)
    algorithm.train = lambda: None  # type: ignore[method-assign]
    algorithm.learn(STEPS * SESSIONS)
    return algorithm


def true_regimes() -> np.ndarray:
    """Those of the tape that seed 5 plays first, shape (steps + 1, sessions)."""
    regimes = Tape.draw(Market(**MARKET), SESSIONS, seed=5).regime
    assert regimes is not None
    return regimes


def fill_chance(regime: int, depth: float, open_side: bool) -> float:
    rate, decay = MARKET["arrival_rate"][regime], MARKET["depth_decay"][regime]
    return min(1.0, rate * 0.005 * np.exp(-decay * depth)) * open_side


@pytest.mark.parametrize("seen", ["hidden", "one_hot"])
def test_next_values_are_means_over_what_the_true_regime_may_do(seen):
    """Every fill and next regime summed by hand, for the regimes of the tape and the critic's own observations."""
    algorithm = after_a_rollout(seen)
    buffer, codec = algorithm.rollout_buffer, algorithm.problem.codec
    regimes = true_regimes()
    assert 0.2 < regimes[:-1].mean() < 0.9  # both occur

    def critic(n: int, regime: int, q: int) -> float:
        row = codec.observations[n, regime, q + LIMIT][None]
        return 0.0 if n == STEPS else algorithm.policy.network.values(row).item()

    rewards = buffer.rewards  # where the regime is hidden, already without what it pays on average
    if seen == "hidden":
        for z in (0, 1):
            assert abs(rewards[regimes[:-1] == z].mean()) < 1e-5
    else:
        assert abs(rewards[regimes[:-1] == 0].mean()) > 0.1
    residuals = np.empty((STEPS, SESSIONS))
    for n, i in itertools.product(range(STEPS), range(SESSIONS)):
        z, q = regimes[n, i], int(codec.inventory(buffer.observations[n, i]))
        bid, ask = codec.depths(buffer.actions[n, i])
        up, down = fill_chance(z, bid, q < LIMIT), fill_chance(z, ask, q > -LIMIT)
        mean = sum(
            MARKET["transition_matrix"][z][to]
            * (up if bought else 1 - up)
            * (down if sold else 1 - down)
            * critic(n + 1, to, q + bought - sold if abs(q + bought - sold) <= LIMIT else q)
            for to, bought, sold in itertools.product((0, 1), (0, 1), (0, 1))
        )
        residuals[n, i] = rewards[n, i] + mean - critic(n, z, q)
    expected = [sum(algorithm.gae_lambda**j * residuals[n + j] for j in range(STEPS - n)) for n in range(STEPS)]
    np.testing.assert_allclose(buffer.advantages, expected, atol=2e-5)
    assert np.abs(buffer.advantages).max() > 0.1


def test_rewards_less_the_means_of_their_regimes():
    rewards = np.array([[1.0, 5.0, 2.0], [3.0, 7.0, -2.0]])
    regime = np.array([[0, 2, 0], [2, 2, 0]])
    np.testing.assert_allclose(regime_means(rewards, regime), [[1 / 3, 5.0, 1 / 3], [5.0, 5.0, 1 / 3]])


def test_where_it_is_hidden_the_critic_does_not_see_the_regime():
    """Else the values would not be those of a policy that sees no regime."""
    algorithm = after_a_rollout("hidden")
    with torch.no_grad():
        assert (np.ptp(algorithm._grid_values(), axis=1) == 0).all()
    assert algorithm.policy.architecture.inputs == 3
