"""Grades: exact, the same for every kind of agent and environment, and clear about what they refuse."""

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import mmenv
from mmenv import ExponentialPenalty, ExponentialUtility, Market, Problem, Tape, grade, simulate, solve
from mmenv.envs import MarketMakingEnv, MarketMakingVecEnv, MarketMakingVectorEnv
from mmenv.linear_skew import best_linear_skew, linear_skew_table

MARKET = Market(steps=30, max_inventory=6, horizon=0.3)
OBJECTIVE = ExponentialPenalty()


def lean(observations):
    """A policy that is a smooth function of the observation."""
    return np.stack([-0.2 + 0.1 * observations[:, 0], -0.2 - 0.1 * observations[:, 0] * observations[:, 1]], axis=-1)


class Model:
    """Something with SB3's predict."""

    def predict(self, observations, deterministic=False):
        assert deterministic
        return lean(observations), None


def test_the_optimum_has_skill_one_and_the_straight_line_skill_zero():
    best = grade(MARKET, solve(MARKET, OBJECTIVE).quotes)
    assert best.gap == pytest.approx(0, abs=1e-12)
    assert best.skill == pytest.approx(1, abs=1e-9)
    assert best.percent_of_optimum == pytest.approx(100, abs=1e-9)
    best_line = best_linear_skew(MARKET, OBJECTIVE)
    straight = grade(MARKET, linear_skew_table(MARKET, best_line.half_spread, best_line.skew))
    assert straight.skill == pytest.approx(0, abs=1e-9)
    assert straight.gap > 0


def test_every_kind_of_environment_and_agent_gets_the_same_grade():
    problem = Problem(MARKET, OBJECTIVE)
    environments = [
        MARKET,
        problem,
        MarketMakingEnv(market=MARKET),
        gymnasium.make("mmenv/AvellanedaStoikov-v0", **MARKET.to_dict()),
        MarketMakingVectorEnv(3, market=MARKET),
        MarketMakingVecEnv(3, market=MARKET),
        gymnasium.vector.SyncVectorEnv([lambda: MarketMakingEnv(market=MARKET)] * 2),
        DummyVecEnv([lambda: MarketMakingEnv(market=MARKET)]),
    ]
    table = grade(problem, lean).quotes
    grades = [grade(env, agent).objective for env in environments for agent in (lean, Model(), table)]
    assert len(grades) == 24
    np.testing.assert_array_equal(grades, grades[0])


def test_a_grade_is_what_playing_the_agent_earns_on_average():
    """Played through the environment itself, 4,000 sessions: mean within 5 standard errors of the grade."""
    count = 4_000
    vector = MarketMakingVectorEnv(count, market=MARKET)
    observation, _ = vector.reset(seed=11)
    total = np.zeros(count)
    for _ in range(MARKET.steps):
        observation, reward, *_ = vector.step(lean(observation))
        total += reward
    error = total.std() / np.sqrt(count)
    exact = grade(MARKET, lean).objective
    assert abs(total.mean() - exact) < 5 * error
    assert error < 0.01 * exact, "too noisy to notice an error of 5 %"


def test_observations_scaled_by_vec_normalize_are_scaled_for_the_grade_too():
    env = VecNormalize(MarketMakingVecEnv(8, market=MARKET, seed=0))
    env.reset()
    for _ in range(200):
        env.step(np.random.default_rng(0).uniform(-1, 1, (8, 2)))

    class Normalised(Model):
        def get_vec_normalize_env(self):
            return env

        def predict(self, observations, deterministic=False):
            return lean(env.unnormalize_obs(observations)), None

    expected = grade(MARKET, lean).objective
    assert grade(env, Normalised()).objective == pytest.approx(expected, rel=1e-6)


def test_policies_are_clipped_to_the_box():
    wide = linear_skew_table(MARKET, 10.0, 0.0)
    assert (grade(MARKET, wide).quotes.bid_depth[..., :-1] == MARKET.max_depth).all()


def test_formulas_between_ticks_are_rounded_and_other_tables_refused():
    market = Market(steps=20, max_inventory=3, tick=0.3)
    quotes = grade(market, linear_skew_table(market, 0.7, 0.05)).quotes
    np.testing.assert_array_equal(quotes.bid_depth[0, 0, :-1], market.allowed(0.7 + 0.05 * np.arange(-3, 3)))
    with pytest.raises(ValueError, match="multiple of the tick"):
        simulate(market, linear_skew_table(market, 0.7, 0.05), Tape.draw(market, 1, seed=0))
    endless = mmenv.QuoteTable(*np.full((2, *market.grid_shape), np.inf))
    with pytest.raises(ValueError, match="finite"):
        grade(market, endless)


def test_no_skill_where_a_straight_line_is_optimal():
    """Takers come surely in every step: both sides fill at one depth, and inventory never moves."""
    graded = grade(Market(steps=20), lambda states: np.zeros((len(states), 2)))
    assert graded.gap > 1
    assert np.isnan(graded.skill)
    assert "skill" not in str(graded)
    assert str(grade(MARKET, lean)).endswith(f"skill {grade(MARKET, lean).skill:.3f}")


def test_another_objective_can_be_graded_by():
    env = MarketMakingEnv(market=MARKET)
    cara = ExponentialUtility(0.5)
    assert grade(env, lean, cara).optimum == solve(MARKET, cara).optimum
    assert grade(env, lean).optimum == solve(MARKET, OBJECTIVE).optimum


def test_percent_is_left_out_where_the_optimum_is_not_positive():
    market = Market(steps=3, max_inventory=2, arrival_rate=1e-3)
    graded = grade(market, lambda states: np.ones((len(states), 2)), ExponentialPenalty(weight=0.0))
    assert graded.optimum > 0
    losing = Market(steps=3, max_inventory=2, min_depth=-2.0, max_depth=-1.0)
    graded = grade(losing, lambda states: np.ones((len(states), 2)))
    assert graded.optimum < 0
    assert np.isnan(graded.gap_percent)
    assert "%" not in str(graded)


@pytest.mark.parametrize(
    ("agent", "error", "words"),
    [
        (lambda states: np.zeros(3), ValueError, "shape"),
        (lambda states: np.full((len(states), 2), np.nan), ValueError, "finite"),
        (3, TypeError, "predict must be"),
        (mmenv.QuoteTable(np.zeros((2, 1, 3)), np.zeros((2, 1, 3))), ValueError, "shape"),
    ],
)
def test_what_is_not_an_agent_is_refused(agent, error, words):
    with pytest.raises(error, match=words):
        grade(MARKET, agent)


def test_what_is_not_an_environment_is_refused():
    with pytest.raises(TypeError, match="environment"):
        grade(gymnasium.make("CartPole-v1"), lean)


def test_the_table_of_an_agent_plays_like_the_agent():
    table = grade(MARKET, lean).quotes
    paths = simulate(MARKET, table, Tape.draw(MARKET, 5, seed=3))
    vector = MarketMakingVectorEnv(5, market=MARKET)
    observation, _ = vector.reset(seed=3)
    for n in range(MARKET.steps):
        observation, *_, info = vector.step(lean(observation))
        np.testing.assert_array_equal(info["inventory"], paths.inventory[n + 1])
