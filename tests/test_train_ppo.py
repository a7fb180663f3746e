"""LeanPPO is Stable-Baselines3's PPO: the same rollouts, losses and gradients; and it stops on poison."""

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from mmenv.envs import MarketMakingEnv, MarketMakingVecEnv
from train.guard import LARGEST, Poisoned
from train.ppo import LeanPPO

SETTINGS = {"n_steps": 10, "batch_size": 20, "n_epochs": 2, "device": "cpu", "seed": 3}


def short_env():
    return MarketMakingVecEnv(4, steps=10, max_inventory=4)


def both(**settings):
    """Stock PPO and ours with the same weights, on the same streams."""
    stock, lean = (kind("MlpPolicy", short_env(), **{**SETTINGS, **settings}) for kind in (PPO, LeanPPO))
    lean.policy.load_state_dict(stock.policy.state_dict())
    return stock, lean


def collect(model):
    """One rollout, with the same noise for either."""
    _, callback = model._setup_learn(40)
    torch.manual_seed(7)
    callback.on_training_start({}, {})
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


def test_rollouts_are_those_of_stock_ppo():
    stock, lean = both()
    for _ in range(2):  # the second begins where the first ended
        one, other = collect(stock), collect(lean)
        for name in ("observations", "actions", "rewards", "episode_starts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        for name in ("values", "log_probs", "advantages", "returns"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-5, err_msg=name)
    assert stock.num_timesteps == lean.num_timesteps
    assert stock.ep_info_buffer[-1]["r"] == lean.ep_info_buffer[-1]["r"]


@pytest.mark.parametrize(
    "settings", [{}, {"ent_coef": 0.01, "clip_range_vf": 0.1}, {"normalize_advantage": False, "max_grad_norm": 0.01}]
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
    for (name, one), other in zip(stock.policy.named_parameters(), lean.policy.parameters(), strict=True):
        # Four steps of 3e-4 move weights by up to 1.2e-3; Adam enlarges rounding errors of tiny gradients.
        np.testing.assert_allclose(one.detach(), other.detach(), atol=3e-6, err_msg=name)
        assert not torch.equal(other, before[name]), name
    for name, value in stock.logger.name_to_value.items():
        if name.startswith("train/"):
            assert lean.logger.name_to_value[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_gradients_are_those_of_stock_ppo():
    """The loss of one minibatch, written out again from Schulman et al. (2017), and its gradient."""
    _, lean = both(ent_coef=0.01)
    collect(lean)
    rows, widths = lean._pack()
    columns = rows[:20].split(widths, dim=1)
    from train.ppo import Minibatch

    batch = Minibatch(columns[0], columns[1], *(column.squeeze(1) for column in columns[2:]))
    batch = batch._replace(old_log_prob=batch.old_log_prob - torch.linspace(-0.5, 0.5, 20))
    loss, _ = lean._loss(batch, 0.2)
    loss.backward()
    gradient = torch.cat([weight.grad.flatten() for weight in lean.policy.parameters()])

    lean.policy.zero_grad()
    distribution = lean.policy.get_distribution(batch.observations)
    ratio = torch.exp(distribution.log_prob(batch.actions) - batch.old_log_prob)
    assert ((ratio - 1).abs() > 0.2).any()
    assert ((ratio - 1).abs() < 0.2).any()
    advantage = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
    objective = torch.minimum(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()
    error = (lean.policy.predict_values(batch.observations).squeeze(1) - batch.returns).square().mean()
    (-objective + 0.5 * error - 0.01 * distribution.entropy().mean()).backward()
    expected = torch.cat([weight.grad.flatten() for weight in lean.policy.parameters()])
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_truncated_sessions_are_bootstrapped_like_stock():
    def make():
        return gymnasium.wrappers.TimeLimit(MarketMakingEnv(steps=50), 7)

    buffers = []
    for kind in (PPO, LeanPPO):
        model = kind("MlpPolicy", DummyVecEnv([make, make]), **SETTINGS)
        buffers.append(collect(model))
    np.testing.assert_allclose(buffers[0].rewards, buffers[1].rewards, rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_poisoned_actions_stop_the_rollout(monkeypatch, value):
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    sample = model._sample

    def poisoned(observations):
        actions = sample(observations)
        actions[1, 0] = value
        return actions

    monkeypatch.setattr(model, "_sample", poisoned)
    with pytest.raises(Poisoned, match="the action of environment 1 at step 0 of the rollout, after 0 transitions"):
        model.learn(400)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_poisoned_gradients_stop_the_update(monkeypatch, value):
    model = LeanPPO("MlpPolicy", short_env(), **SETTINGS)
    loss = model._loss
    monkeypatch.setattr(model, "_loss", lambda batch, clip: (loss(batch, clip)[0] * value, loss(batch, clip)[1]))
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


def test_other_networks_take_the_way_of_stock_ppo():
    """Perceptrons stand in for tanh networks alone."""
    assert LeanPPO("MlpPolicy", short_env(), **SETTINGS)._perceptrons is not None
    relu = LeanPPO("MlpPolicy", short_env(), policy_kwargs={"activation_fn": torch.nn.ReLU}, **SETTINGS)
    assert relu._perceptrons is None
    relu.learn(40)
