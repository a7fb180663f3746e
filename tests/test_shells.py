"""One tape through every shell gives the same session, to the last bit; and each shell keeps its conventions."""

import copy
import json
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_sb3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

import mmenv
from mmenv import Market, Problem, Tape, simulate
from mmenv.envs import MarketMakingEnv, MarketMakingVecEnv, MarketMakingVectorEnv
from mmenv.quotes import quote_table

CASES = [
    ("mmenv/AvellanedaStoikov-v0", "realised"),
    ("mmenv/AvellanedaStoikov-v0", "expected"),
    ("mmenv/ExponentialUtility-v0", "realised"),
    ("mmenv/ExponentialUtility-v0", "surrogate"),
    ("mmenv/ToxicFlow-v0", "realised"),
    ("mmenv/ToxicFlow-v0", "expected"),
    ("mmenv/ThinMarket-v0", "expected"),
    ("mmenv/DeepMarket-v0", "realised"),
    ("mmenv/DeepMarket-v0", "expected"),
    ("mmenv/Signal-v0", "expected"),
    ("mmenv/Hedged-v0", "realised"),
    ("mmenv/Hedged-v0", "expected"),
]
SMALL = Market(steps=40, max_inventory=3)


def random_actions(market, seed):
    """Actions (float32, some beyond the box) for every state, and the table of the quotes they stand for."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1.2, 1.2, (*market.grid_shape, 2)).astype(np.float32)
    depths = Problem(market).codec.depths(actions)
    return actions, quote_table(depths[..., 0], depths[..., 1])


@pytest.mark.parametrize("law", ["linear", "poisson"])
def test_one_tape_through_every_shell(law):
    market = Market(steps=40, max_inventory=3, fill_law=law)
    actions, table = random_actions(market, 1)
    count, seed = 130, 7
    paths = simulate(market, table, Tape.draw(market, count, seed))
    assert (np.abs(paths.inventory).max(axis=0) == 3).any(), "the limit must be felt for this test to mean anything"

    vector = MarketMakingVectorEnv(count, market=market)
    vec_env = MarketMakingVecEnv(count, market=market, seed=seed, step_info=True)
    vector.reset(seed=seed)
    vec_env.reset()
    for n in range(market.steps):
        act = actions[n, 0, paths.inventory[n] + 3]
        _, _, terminated, truncated, info = vector.step(act)
        _, _, done, infos = vec_env.step(act)
        for name in ("inventory", "cash", "mid", "wealth"):
            expected = getattr(paths, name)[n + 1]
            np.testing.assert_array_equal(info[name], expected, err_msg=name)
            np.testing.assert_array_equal([one[name] for one in infos], expected, err_msg=name)
        assert terminated.all() == done.all() == (n == market.steps - 1)
        assert not truncated.any()

    for index in (0, 63, 64, 129):
        env = MarketMakingEnv(market=market, index=index)
        env.reset(seed=seed)
        for n in range(market.steps):
            *_, info = env.step(actions[n, 0, paths.inventory[n, index] + 3])
            assert (info["inventory"], info["cash"]) == (paths.inventory[n + 1, index], paths.cash[n + 1, index])


@pytest.mark.parametrize(("name", "reward"), CASES)
def test_rewards_agree_across_shells_and_add_up(name, reward):
    env = gymnasium.make(name, reward=reward, index=5).unwrapped
    vector = gymnasium.make_vec(name, num_envs=6, reward=reward)
    vec_env = MarketMakingVecEnv(6, market=env.problem.market, objective=env.problem.objective, reward=reward, seed=2)
    env.reset(seed=2), vector.reset(seed=2), vec_env.reset()
    rng = np.random.default_rng(0)
    total, terminated = 0.0, False
    while not terminated:
        actions = rng.uniform(-1, 1, (6, *env.action_space.shape)).astype(np.float32)
        observation, paid, terminated, truncated, info = env.step(actions[5])
        observations, rewards, *_ = vector.step(actions)
        seen, rewards_32, _, _ = vec_env.step(actions)
        np.testing.assert_allclose(rewards[5], paid, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(rewards_32[5], paid, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(observations[5], observation)
        if not terminated:
            np.testing.assert_array_equal(seen[5], observation)
        total += paid if reward != "realised" else info["spread_earned"] + info["inventory_profit"]
        assert type(paid) is float
        assert type(terminated) is bool
        assert truncated is False
    if reward == "realised":
        assert total == pytest.approx(info["wealth"], abs=1e-9)


@pytest.mark.parametrize("name", ["mmenv/AvellanedaStoikov-v0", "mmenv/ExponentialUtility-v0"])
def test_realised_rewards_sum_to_the_objective(name):
    """The episode's return is W_N - sum of penalties, or (1 - exp(-gamma W_N)) / gamma for CARA."""
    env = gymnasium.make(name).unwrapped
    env.reset(seed=3)
    total, penalties, done = 0.0, 0.0, False
    while not done:
        _, reward, done, _, info = env.step(np.array([-0.2, -0.1], dtype=np.float32))
        total += reward
        penalties += info["penalty"]
    gamma = env.problem.objective.risk_aversion
    expected = info["wealth"] - penalties if gamma == 0 else (1 - np.exp(-gamma * info["wealth"])) / gamma
    assert total == pytest.approx(expected, abs=1e-9)


def test_expected_reward_is_the_mean_of_the_realised_one():
    """Over 200,000 tapes in one state, mean realised reward within 5 standard errors of the expected reward."""
    market = Market(steps=1, max_inventory=2, arrival_rate=0.9, depth_decay=1.5)
    objective = mmenv.ExponentialPenalty(terminal_weight=0.2)
    count = 200_000
    batch = MarketMakingVectorEnv(count, market=market, objective=objective)
    expected = MarketMakingVectorEnv(count, market=market, objective=objective, reward="expected")
    for shell in (batch, expected):
        shell.reset(seed=1)
    actions = np.tile(np.array([-0.6, -0.4], dtype=np.float32), (count, 1))
    realised, mean = batch.step(actions)[1], expected.step(actions)[1]
    assert np.ptp(mean) == 0
    assert abs(realised.mean() - mean[0]) < 5 * realised.std() / np.sqrt(count)
    assert realised.std() / np.sqrt(count) < 0.02 * abs(mean[0]), "too noisy to notice an error of 10 %"


@pytest.mark.parametrize("mode", [None, "ansi", "rgb_array"])
@pytest.mark.parametrize(("name", "reward"), CASES)
def test_checkers_pass_without_a_warning(name, reward, mode):
    env = gymnasium.make(name, reward=reward, render_mode=mode, steps=3).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_gymnasium(env)
        check_sb3(env)


@pytest.mark.parametrize(("name", "reward"), CASES)
def test_spec_survives_json_and_environment_survives_pickling(name, reward):
    env = gymnasium.make(name, reward=reward, volatility=1.5, fill_law="poisson")
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    json.loads(env.spec.to_json())
    again = gymnasium.make(spec)
    assert again.unwrapped.problem == env.unwrapped.problem
    assert spec.max_episode_steps is None
    env.reset(seed=4)
    action = np.zeros(env.action_space.shape, dtype=np.float32)
    env.step(action)
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(5):
        left, right = (shell.step(action) for shell in (env, twin))
        np.testing.assert_array_equal(left[0], right[0])
        assert left[1:] == right[1:]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda shell: pickle.loads(pickle.dumps(shell))])
@pytest.mark.parametrize("name", ["mmenv/AvellanedaStoikov-v0", "mmenv/ToxicFlow-v0"])
def test_batches_can_be_copied_at_any_time(name, copied):
    problem = gymnasium.make(name, steps=20).unwrapped.problem
    vector = MarketMakingVectorEnv(3, market=problem.market)
    vec_env = MarketMakingVecEnv(3, market=problem.market, seed=1)
    copied(vector), copied(vec_env)
    vector.reset(seed=1), vec_env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 3, 2)).astype(np.float32)
    for shell in (vector, vec_env):
        for n in range(18):
            shell.step(actions[n])
        again = copied(shell)
        for n in range(18, 50):
            left, right = shell.step(actions[n]), again.step(actions[n])
            for part in range(3):
                np.testing.assert_array_equal(left[part], right[part])


def test_next_step_autoreset():
    vector = MarketMakingVectorEnv(3, market=SMALL)
    first, _ = vector.reset(seed=0)
    act = np.zeros((3, 2), dtype=np.float32)
    for _ in range(SMALL.steps):
        observation, _, terminated, _, _ = vector.step(act)
    assert terminated.all()
    assert (observation[:, 1] == -1).all()
    observation, reward, terminated, _, info = vector.step(act)
    np.testing.assert_array_equal(observation, first)
    assert not reward.any()
    assert not terminated.any()
    assert (info["time"] == 0).all()
    *_, info = vector.step(act)
    np.testing.assert_array_equal(info["mid"], SMALL.initial_mid + Tape.draw(SMALL, 3, seed=0, episode=1).mid_move[0])


def test_same_step_autoreset():
    vector = MarketMakingVectorEnv(3, market=SMALL, autoreset_mode="SameStep")
    first, _ = vector.reset(seed=0)
    for _ in range(SMALL.steps):
        observation, _, terminated, _, info = vector.step(np.zeros((3, 2), dtype=np.float32))
    assert terminated.all()
    np.testing.assert_array_equal(observation, first)
    assert all(final[1] == -1 for final in info["final_obs"])
    assert (info["final_info"]["time"] == 1).all()
    *_, info = vector.step(np.zeros((3, 2), dtype=np.float32))
    assert (info["time"] == SMALL.dt).all()


def test_disabled_autoreset_needs_a_reset():
    vector = MarketMakingVectorEnv(2, market=SMALL, autoreset_mode=AutoresetMode.DISABLED)
    vector.reset(seed=0)
    for _ in range(SMALL.steps):
        vector.step(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(RuntimeError, match="reset"):
        vector.step(np.zeros((2, 2), dtype=np.float32))
    vector.reset(options={"reset_mask": np.ones(2, dtype=bool)})
    vector.step(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="reset_mask"):
        vector.reset(options={"reset_mask": np.array([True, False])})


def test_sb3_autoreset_carries_the_last_observation_and_is_no_truncation():
    vec_env = MarketMakingVecEnv(3, market=SMALL, seed=0)
    first = vec_env.reset()
    returns = np.zeros(3)
    for _ in range(SMALL.steps):
        observation, reward, done, infos = vec_env.step(np.zeros((3, 2)))
        returns += reward
    assert done.all()
    np.testing.assert_array_equal(observation, first)
    for info, total in zip(infos, returns, strict=True):
        assert info["terminal_observation"][1] == -1
        assert info["TimeLimit.truncated"] is False
        assert info["episode"]["r"] == pytest.approx(total, rel=1e-5)
        assert info["episode"]["l"] == SMALL.steps
    assert not vec_env.step(np.zeros((3, 2)))[2].any()


def test_sb3_evaluates_true_returns_without_a_warning():
    vec_env = VecNormalize(MarketMakingVecEnv(4, market=SMALL, seed=0))
    model = PPO("MlpPolicy", vec_env, n_steps=8, batch_size=32, device="cpu", seed=0)
    vec_env.training = False
    assert vec_env.env_is_wrapped(Monitor) == [True] * 4
    assert vec_env.env_is_wrapped(TimeLimit) == [False] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        returns, lengths = evaluate_policy(model, vec_env, n_eval_episodes=4, return_episode_rewards=True)
    assert lengths == [SMALL.steps] * 4
    table = mmenv.grade(vec_env, model).quotes
    paths = simulate(SMALL, table, Tape.draw(SMALL, 4, seed=0, episode=0))
    penalty = mmenv.ExponentialPenalty().running_penalty(paths.inventory[1:]).sum(axis=0) * SMALL.dt
    np.testing.assert_allclose(returns, paths.profit - penalty, rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_environment_is_the_same_whatever_num_envs_is(seed):
    moves = {}
    for count in (1, 8, 1024):
        vector = MarketMakingVectorEnv(count, market=SMALL)
        vector.reset(seed=seed)
        infos = [vector.step(np.full((count, 2), 0.1))[4] for _ in range(SMALL.steps + 3)]
        moves[count] = np.array([(info["mid"][0], info["wealth"][0], info["inventory"][0]) for info in infos])
    np.testing.assert_array_equal(moves[1], moves[8])
    np.testing.assert_array_equal(moves[1], moves[1024])


def test_returned_arrays_are_fresh():
    vector = MarketMakingVectorEnv(4, market=SMALL)
    vector.reset(seed=0)
    before = vector.step(np.zeros((4, 2)))
    kept = [np.array(part) for part in (before[0], before[1], before[4]["cash"])]
    after = vector.step(np.zeros((4, 2)))
    for part, earlier in zip((before[0], before[1], before[4]["cash"]), kept, strict=True):
        np.testing.assert_array_equal(part, earlier)
    assert not np.shares_memory(before[0], after[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"volatlity": 1.0}, ["volatlity", "did you mean 'volatility'"]),
        ({"volatility": -1.0}, ["volatility", "-1.0", ">= 0"]),
        ({"volatility": float("nan")}, ["volatility", "nan"]),
        ({"steps": 10.5}, ["steps", "10.5", "integer"]),
        ({"min_depth": 2.0, "max_depth": 1.0}, ["max_depth", "1.0", "min_depth"]),
        ({"objective": {"name": "exponential_penalty", "rate": 50.0}}, ["penalty", "max_inventory = 20"]),
        ({"objective": {"name": "exponential"}}, ["objective name", "exponential_penalty"]),
        ({"objective": {"name": "risk_neutral", "weight": 1}}, ["weight", "risk_neutral"]),
        ({"reward": "surrogate"}, ["reward", "surrogate", "expected"]),
        ({"reward": "dense"}, ["reward", "dense", "realised"]),
        ({"render_mode": "human"}, ["render_mode", "human"]),
        ({"index": -1}, ["index", "-1"]),
        ({"market": 5}, ["market", "5", "mapping"]),
        ({"market": "deep"}, ["market", "'deep'", "mapping"]),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments, words):
    with pytest.raises((TypeError, ValueError)) as refusal:
        MarketMakingEnv(**arguments)
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("action", [[np.nan, 0], [np.inf, 0], [0], [0, 0, 0], "up", None])
def test_a_bad_action_is_refused(action):
    env = MarketMakingEnv(market=SMALL)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)


@pytest.mark.parametrize(
    "actions",
    [np.full((2, 2), np.nan), np.zeros((3, 2)), np.zeros(2), np.full((2, 2), None), np.zeros((2, 2), complex), "up"],
)
def test_bad_actions_are_refused_by_the_batch(actions):
    vector = MarketMakingVectorEnv(2, market=SMALL)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="actions"):
        vector.step(actions)


def test_stepping_before_a_reset_or_after_the_end_is_refused():
    env = MarketMakingEnv(market=Market(steps=1))
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(2))
    env.reset(seed=0)
    env.step(np.zeros(2))
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(2))


def test_seeds():
    env = MarketMakingEnv(market=SMALL)
    mids = []
    for seed in (0, 0, 1, None):
        env.reset(seed=seed)
        mids.append(env.step(np.zeros(2))[4]["mid"])
    assert mids[0] == mids[1]
    assert len(set(mids)) == 3


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint64(2**63), 2**70])
def test_a_seed_is_the_same_number_in_every_shell(seed):
    env, vector = MarketMakingEnv(market=SMALL), MarketMakingVectorEnv(1, market=SMALL)
    vec_env = MarketMakingVecEnv(1, market=SMALL, seed=seed, step_info=True)
    env.reset(seed=seed), vector.reset(seed=seed), vec_env.reset()
    mid = SMALL.initial_mid + Tape.draw(SMALL, 1, seed=int(seed)).mid_move[0, 0]
    assert env.step(np.zeros(2))[4]["mid"] == mid
    assert vector.step(np.zeros((1, 2)))[4]["mid"][0] == mid
    assert vec_env.step(np.zeros((1, 2)))[3][0]["mid"] == mid


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True])
def test_a_bad_seed_is_refused_by_every_shell(seed):
    for shell in (MarketMakingEnv(market=SMALL), MarketMakingVectorEnv(2, market=SMALL)):
        with pytest.raises((TypeError, ValueError), match=r"seed must be an integer >= 0"):
            shell.reset(seed=seed)
    with pytest.raises((TypeError, ValueError), match=r"seed must be an integer >= 0"):
        MarketMakingVecEnv(2, market=SMALL, seed=seed).reset()


def test_renders():
    env = MarketMakingEnv(market=SMALL, render_mode="ansi")
    with pytest.raises(RuntimeError, match="reset"):
        env.render()
    env.reset(seed=0)
    assert "inventory" in env.render()
    env.step(np.zeros(2))
    assert "bid" in env.render()
    env = MarketMakingEnv(market=SMALL, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.zeros(2))
    picture = env.render()
    assert picture.shape == (480, 720, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5, "the picture is blank"
