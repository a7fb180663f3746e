"""LeanPPO is Stable-Baselines3's PPO: the same rollouts, losses and gradients; and it stops on poison."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

from mmenv.envs import MarketMakingEnv, MarketMakingVecEnv
from train.guard import LARGEST, Poisoned, check
from train.ppo import LeanPPO

SETTINGS = {"n_steps": 10, "batch_size": 20, "n_epochs": 2, "device": "cpu", "seed": 3}


def short_env():
    return MarketMakingVecEnv(4, steps=10, max_inventory=4)


def both(**settings):
    """Stock PPO and ours with the same weights, on the same streams."""
    stock, lean = (kind("MlpPolicy", short_env(), **{**SETTINGS, **settings}) for kind in (PPO, LeanPPO))
    lean.policy.load_state_dict(stock.policy.state_dict())
    return stock, lean


def collect(model, callback=None):
    """One rollout, with the same noise for either."""
    _, callback = model._setup_learn(40, callback)
    torch.manual_seed(7)
    callback.on_training_start({}, {})
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


def test_rollouts_are_those_of_stock_ppo():
    stock, lean = both()
    for _ in range(2):  # the second begins where the first ended
        one, other = collect(stock), collect(lean)
        for name in ("observations", "episode_starts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        for name in ("actions", "rewards", "values", "log_probs", "advantages", "returns"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-5, err_msg=name)
    assert stock.num_timesteps == lean.num_timesteps
    assert stock.ep_info_buffer[-1]["r"] == lean.ep_info_buffer[-1]["r"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ent_coef": 0.01, "clip_range_vf": 0.1},
        {"normalize_advantage": False, "max_grad_norm": 0.01},
        {"batch_size": 13},  # a last minibatch of one row, whose advantage cannot be normalised
        {"target_kl": 1.35e-5, "n_epochs": 50},  # stops in the second epoch
    ],
    ids=str,
)
def test_updates_are_those_of_stock_ppo(monkeypatch, settings):
    """Same rollout, same order of minibatches: every weight after two epochs agrees to float tolerance."""
    stock, lean = both(**settings)
    collect(stock)
    collect(lean)
    orders = [np.random.default_rng(i).permutation(40) for i in range(2)]
    # Stock flattens sessions first, we flatten steps first: row (step, session) is session * 10 + step there.
    ours = [torch.from_numpy((order % 10) * 4 + order // 10) for order in orders]
    monkeypatch.setattr(np.random, "permutation", lambda n, left=list(orders): left.pop(0))
    monkeypatch.setattr(torch, "randperm", lambda n, left=list(ours): left.pop(0))
    before = {name: weight.clone() for name, weight in lean.policy.named_parameters()}
    stock.train()
    lean.train()
    assert stock._n_updates == lean._n_updates == 2
    for (name, one), other in zip(stock.policy.named_parameters(), lean.policy.parameters(), strict=True):
        # Four steps of 3e-4 move weights by up to 1.2e-3; Adam enlarges rounding errors of tiny gradients.
        np.testing.assert_allclose(one.detach(), other.detach(), atol=3e-6, err_msg=name)
        assert not torch.equal(other, before[name]), name
    for name, value in stock.logger.name_to_value.items():
        if name.startswith("train/"):
            assert lean.logger.name_to_value[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("reach", [None, 0.02])
@pytest.mark.parametrize("at_once", [4096, 7])
def test_gradients_are_those_of_autograd(monkeypatch, reach, at_once):
    """The loss of one minibatch, written out again from Schulman et al. (2017), and its gradient by torch."""
    monkeypatch.setattr("train.ppo.AT_ONCE", at_once)
    _, lean = both(ent_coef=0.01, clip_range_vf=reach)
    collect(lean)
    batch = lean._rollout().take(slice(20))
    batch = batch._replace(
        old_log_prob=batch.old_log_prob - np.linspace(-0.5, 0.5, 20, dtype=np.float32),
        old_values=batch.old_values + np.linspace(-0.05, 0.05, 20, dtype=np.float32),
    )
    passes = lean._passes()
    told = lean._gradient(passes, batch, 0.2)
    gradient = torch.cat([weight.grad.flatten() for weight in lean.policy.parameters()]).clone()
    assert passes.gradient.size == gradient.numel()

    lean.policy.zero_grad()
    observations, actions, old_log_prob, advantages, returns, old = (torch.from_numpy(part.copy()) for part in batch)
    distribution = lean.policy.get_distribution(observations)
    ratio = torch.exp(distribution.log_prob(actions) - old_log_prob)
    assert ((ratio - 1).abs() > 0.2).any()
    assert ((ratio - 1).abs() < 0.2).any()
    advantage = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    objective = torch.minimum(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()
    values = lean.policy.predict_values(observations).squeeze(1)
    if reach is not None:
        assert ((values - old).abs() > reach).any()
        values = old + torch.clamp(values - old, -reach, reach)
    error = (values - returns).square().mean()
    loss = -objective + 0.5 * error - 0.01 * distribution.entropy().mean()
    loss.backward()
    expected = torch.cat([weight.grad.flatten() for weight in lean.policy.parameters()])
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    assert told.loss == pytest.approx(loss.item(), rel=1e-5)
    assert told.clip_fraction == pytest.approx(((ratio - 1).abs() > 0.2).float().mean().item())


def test_it_learns_what_stock_ppo_learns(monkeypatch):
    """The same seed and the same order of minibatches: fifteen iterations apart, the weights still agree."""
    count = 40
    stock, lean = both(learning_rate=3e-3, n_epochs=4)
    for model in (stock, lean):
        orders = iter([np.random.default_rng(i).permutation(count) for i in range(15 * 4)])
        # Stock flattens sessions first, we flatten steps first: row (step, session) is session * 10 + step there.
        monkeypatch.setattr(np.random, "permutation", lambda n, orders=orders: next(orders))
        ours = lambda n, orders=orders: torch.from_numpy((order := next(orders)) % 10 * 4 + order // 10)  # noqa: E731
        monkeypatch.setattr(torch, "randperm", ours)
        torch.manual_seed(5)
        model.learn(15 * count)
    start = PPO("MlpPolicy", short_env(), **SETTINGS).policy.state_dict()
    for name, one in stock.policy.state_dict().items():
        other = lean.policy.state_dict()[name]
        moved = (one - start[name]).abs().max()
        assert moved > 0.005, name
        assert (one - other).abs().max() < 0.01 * moved, name


def test_truncated_sessions_are_bootstrapped_like_stock():
    def make():
        return gymnasium.wrappers.TimeLimit(MarketMakingEnv(steps=50), 7)

    buffers = []
    for kind in (PPO, LeanPPO):
        model = kind("MlpPolicy", DummyVecEnv([make, make]), **SETTINGS)
        buffers.append(collect(model))
    np.testing.assert_allclose(buffers[0].rewards, buffers[1].rewards, rtol=1e-5, atol=1e-5)


class PlainEnv(gymnasium.Env):
    """Random observations and the actions' sum as a reward, in numbers of any type."""

    def __init__(self, seen="float32", acted="float32", shape=(2,)):
        self.observation_space = Box(0, 50, (3,), np.dtype(seen))
        self.action_space = Box(-2, 2, shape, np.dtype(acted))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action):
        assert action.shape == self.action_space.shape
        return self._observation(), float(np.sum(action)), bool(self.np_random.random() < 0.1), False, {}

    def _observation(self):
        return self.np_random.uniform(0, 50, 3).astype(self.observation_space.dtype)


@pytest.mark.parametrize(
    "spaces",
    [
        *({"seen": kind} for kind in ("float64", "float16", "uint8", "int64")),
        *({"acted": kind} for kind in ("float64", "float16", "int64")),
        {"shape": (1,)},
        {"shape": (2, 3)},
    ],
    ids=str,
)
def test_spaces_of_any_type_and_shape_are_played_as_in_stock_ppo(spaces):
    """And computed in single precision, like there."""
    models = [kind("MlpPolicy", DummyVecEnv([lambda: PlainEnv(**spaces)] * 4), **SETTINGS) for kind in (PPO, LeanPPO)]
    buffers = [collect(model) for model in models]
    for name in ("observations", "actions", "rewards", "values", "log_probs", "advantages"):
        one, other = (getattr(buffer, name) for buffer in buffers)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)
    lean = models[1]
    rows, passes = lean._rollout(), lean._passes()
    found = passes.evaluate(rows.observations, rows.actions)
    numbers = [*lean._sample(passes), found.values, found.log_prob, found.noise, *found.acted, *found.valued]
    assert {part.dtype for part in numbers} == {np.dtype("float32")}
    lean.train()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
def test_another_optimizer_has_the_settings_that_stock_ppo_gives_it(optimizer):
    stock, lean = both(policy_kwargs={"optimizer_class": optimizer})
    assert lean.policy.optimizer.defaults == stock.policy.optimizer.defaults
    lean.learn(40)


class Scaled(FlattenExtractor):
    def forward(self, observations):
        return 0.1 * super().forward(observations)


def test_frozen_layers_other_extractors_and_buffers_are_left_to_stock_ppo():
    _, lean = both(policy_kwargs={"features_extractor_class": Scaled})
    assert lean._passes() is None
    _, lean = both(rollout_buffer_class=type("OwnBuffer", (RolloutBuffer,), {}))
    assert lean._passes() is None
    _, lean = both()
    frozen = [*lean.policy.mlp_extractor.parameters()]
    before = [weight.clone() for weight in frozen]
    for weight in frozen:
        weight.requires_grad = False
    start = lean.policy.value_net.weight.clone()
    lean.learn(40)
    assert all(torch.equal(weight, old) for weight, old in zip(frozen, before, strict=True))
    assert not torch.equal(lean.policy.value_net.weight, start)


def test_weights_that_a_callback_replaces_before_a_rollout_play_it():
    class Replaces(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_start(self):
            policy = self.model.policy
            policy.load_from_vector(policy.parameters_to_vector() + 0.1)

    one, other = (collect(model, Replaces()) for model in both())
    np.testing.assert_allclose(one.values, other.values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one.actions, other.actions, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_what_overflows_is_told_once():
    """By `Poisoned`, not by warnings of numpy before it."""
    model = LeanPPO("MlpPolicy", short_env(), learning_rate=30.0, **{**SETTINGS, "n_epochs": 20})
    with pytest.raises(Poisoned, match="the gradient of a minibatch"):
        model.learn(200)


def test_a_callback_can_stop_it():
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    model.learn(400, callback=lambda *_: model.num_timesteps < 100)
    assert model.num_timesteps == 100


def test_target_kl_stops_an_update():
    model = LeanPPO("MlpPolicy", short_env(), **{**SETTINGS, "target_kl": 1e-9, "n_epochs": 50})
    model.learn(40)
    assert model._n_updates < 50


@pytest.mark.parametrize("env", ["CartPole-v1", "mmenv/AvellanedaStoikov-v0"])
def test_refuses_what_it_is_not_made_for(env):
    settings = {**SETTINGS, "use_sde": True} if env.startswith("mmenv") else SETTINGS
    with pytest.raises(ValueError, match="LeanPPO needs flat Box observations, Box actions and no gSDE"):
        LeanPPO("MlpPolicy", env, **settings)


class PoisonedEnv(MarketMakingVecEnv):
    """Puts `value` into `where` of session 2 at step 13 (the fourth of the second rollout)."""

    def __init__(self, where: str, value: float) -> None:
        super().__init__(4, steps=10, max_inventory=4)
        self.where, self.value, self.count = where, value, 0

    def step_wait(self):
        observations, rewards, dones, infos = super().step_wait()
        self.count += 1
        if self.where == "terminal observation" and self.count == 20:
            infos[2]["terminal_observation"] = np.full_like(observations[2], self.value)
        elif self.count == 14:
            if self.where == "reward":
                rewards[2] = self.value
            if self.where == "observation":
                observations[2, 1] = self.value
        return observations, rewards, dones, infos


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("where", ["reward", "observation", "terminal observation"])
def test_poison_from_the_environment_stops_the_rollout(where, value):
    model = LeanPPO("MlpPolicy", PoisonedEnv(where, value), **SETTINGS)
    step = 9 if where == "terminal observation" else 3
    with pytest.raises(Poisoned, match=f"the {where} of environment 2 at step {step} of the rollout"):
        model.learn(400)
    assert model.num_timesteps <= 80
    assert all(torch.isfinite(weight).all() for weight in model.policy.parameters())


def test_poison_at_the_end_of_one_session_is_told_by_its_number():
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    model._setup_learn(40)
    infos = [{}, {"terminal_observation": np.zeros(3)}, {"terminal_observation": np.full(3, np.nan)}, {}]
    with pytest.raises(Poisoned, match="the terminal observation of environment 2 at step 5"):
        model._check_terminal(infos, 5)


def test_infinity_in_half_precision_is_poison():
    with pytest.raises(Poisoned, match="environment 1"):
        check("observation", np.array([1, np.inf], dtype=np.float16), 0, 0)
    check("observation", np.full(2, np.finfo(np.float16).max), 0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_poisoned_actions_stop_the_rollout(monkeypatch, value):
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    sample = model._sample

    def poisoned(passes):
        actions, noise = sample(passes)
        actions[1, 0] = value
        return actions, noise

    monkeypatch.setattr(model, "_sample", poisoned)
    with pytest.raises(Poisoned, match="the action of environment 1 at step 0 of the rollout, after 0 transitions"):
        model.learn(400)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_poisoned_gradients_stop_the_update(monkeypatch, value):
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    gradient = model._gradient

    def poisoned(passes, batch, clip_range):
        told = gradient(passes, batch, clip_range)
        passes.gradient[3] = value
        return told

    monkeypatch.setattr(model, "_gradient", poisoned)
    with pytest.raises(Poisoned, match="the gradient of a minibatch, after 40 transitions, must be finite"):
        model.learn(400)
    assert all(torch.isfinite(weight).all() for weight in model.policy.parameters())


def test_the_largest_allowed_number_is_no_poison():
    """Its square fits a 32-bit float, and the next power of ten's does not."""
    assert np.isfinite(np.float32(LARGEST) ** 2)
    with np.errstate(over="ignore"):
        assert not np.isfinite(np.float32(10 * LARGEST * 2) ** 2)


def test_saved_and_loaded_it_goes_on_with_its_own_weights(tmp_path):
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS).learn(40)
    model.save(tmp_path / "model")
    loaded = LeanPPO.load(tmp_path / "model", env=short_env())
    before = torch.cat([weight.detach().flatten() for weight in loaded.policy.parameters()])
    assert torch.equal(before, torch.cat([weight.detach().flatten() for weight in model.policy.parameters()]))
    loaded.learn(40)
    assert not torch.equal(before, torch.cat([weight.detach().flatten() for weight in loaded.policy.parameters()]))


@pytest.mark.parametrize(
    ("policy", "kwargs"),
    [
        ("MlpPolicy", {"activation_fn": torch.nn.ReLU}),
        ("MlpPolicy", {"share_features_extractor": False}),
        ("MlpPolicy", {"net_arch": {"pi": [8], "vf": [4, 4]}}),
        ("MlpPolicy", {"net_arch": []}),
        ("MlpPolicy", {"squash_output": False, "log_std_init": -1.0}),
    ],
)
def test_any_network_learns_as_in_stock_ppo(policy, kwargs):
    """Written out or not: whoever does the work, the first rollout and its logs are those of stock PPO."""
    models = [kind(policy, short_env(), policy_kwargs=dict(kwargs), **SETTINGS) for kind in (PPO, LeanPPO)]
    written_out = "activation_fn" not in kwargs
    assert (models[1]._passes() is not None) == written_out
    buffers = [collect(model) for model in models]
    for name in ("actions", "values", "log_probs", "advantages"):
        one, other = (getattr(buffer, name) for buffer in buffers)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)
    models[1].train()
    models[1].learn(80)
