"""The passes that are written out as arrays, against torch's."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from agents.networks import ActorCritic, Perceptron
from agents.ppo import FAR, Architecture, QuoteNetwork
from tests.networks import random_weights
from train.policy import QuotePolicy

ROWS = 3000
CLOSE = {"rtol": 2e-4, "atol": 2e-5}  # sums of 3,000 terms in single precision


def layers(widths: tuple[int, ...], seed: int = 0) -> nn.Sequential:
    """A tanh network of torch's."""
    torch.manual_seed(seed)
    found: list[nn.Module] = []
    for below, width in pairwise(widths):
        found += [nn.Linear(below, width), nn.Tanh()]
    return nn.Sequential(*found[:-1])


def shared(network: nn.Module) -> list[np.ndarray]:
    return [weight.detach().numpy() for weight in network.parameters()]


@pytest.mark.parametrize("widths", [(3, 1), (4, 8, 2), (3, 64, 64, 2), (2, 5, 7, 3, 1)])
def test_outputs_and_gradients_are_those_of_torch(widths: tuple[int, ...]) -> None:
    network = layers(widths)
    inputs = torch.randn(ROWS, widths[0])
    weighing = torch.randn(ROWS, widths[-1])
    outputs = network(inputs)
    (outputs * weighing).sum().backward()

    ours = Perceptron(shared(network))
    activations = ours.activations(inputs.numpy())
    np.testing.assert_allclose(activations[-1], outputs.detach(), atol=1e-6)
    np.testing.assert_allclose(ours(inputs.numpy()), outputs.detach(), atol=1e-6)
    totals = [np.ones_like(weight) for weight in shared(network)]
    ours.add_gradients(totals, activations, weighing.numpy())
    for total, weight in zip(totals, network.parameters(), strict=True):
        assert weight.grad is not None
        np.testing.assert_allclose(total - 1, weight.grad, rtol=2e-4, atol=2e-3)  # beside the ones that were there


def test_weights_are_shared() -> None:
    network = layers((3, 8, 1))
    ours, inputs = Perceptron(shared(network)), np.ones((1, 3), dtype=np.float32)
    before = ours(inputs)
    with torch.no_grad():
        network[0].weight.mul_(2.0)
    assert ours(inputs) != before
    np.testing.assert_allclose(ours(inputs), network(torch.from_numpy(inputs)).detach(), atol=1e-6)


@pytest.mark.parametrize("kind", ["float64", "float16", "int64", "uint8"])
def test_whatever_the_inputs_are_it_computes_in_the_precision_of_its_weights(kind: str) -> None:
    ours = Perceptron(shared(layers((3, 8, 8, 1))))
    inputs = np.arange(12).reshape(4, 3)
    activations = ours.activations(inputs.astype(kind))
    assert {part.dtype for part in activations} == {np.dtype("float32")}
    np.testing.assert_array_equal(activations[-1], ours(inputs.astype(np.float32)))


def quote_policy() -> QuotePolicy:
    box = Box(-1.0, 1.0, (2,))
    return QuotePolicy(Box(-9.0, 9.0, (3,)), box, lambda _: 1e-3, architecture=Architecture(3, (8,)))


def test_a_copied_policy_acts_on_its_own_weights() -> None:
    policy, observation = quote_policy(), np.array([1.0, 0.5, 0.5], dtype=np.float32)
    before, _ = policy.predict(observation, deterministic=True)
    other = copy.deepcopy(policy)
    with torch.no_grad():
        other.weights["actor.2.bias"].add_(0.25)
    np.testing.assert_array_equal(policy.predict(observation, deterministic=True)[0], before)
    assert (other.predict(observation, deterministic=True)[0] != before).any()


def test_a_policy_acts_on_weights_that_were_replaced() -> None:
    policy, observation = quote_policy(), np.array([1.0, 0.5, 0.5], dtype=np.float32)
    before, _ = policy.predict(observation, deterministic=True)
    policy.load_from_vector(policy.parameters_to_vector() + 0.25)
    assert (policy.predict(observation, deterministic=True)[0] != before).any()


@pytest.mark.parametrize("kind", ["float64", "int64"])
def test_a_policy_sees_the_same_in_numbers_of_any_type(kind: str) -> None:
    policy, observation = quote_policy(), np.array([2, 1, 1])
    expected, _ = policy.predict(observation.astype(np.float32), deterministic=True)
    np.testing.assert_array_equal(policy.predict(observation.astype(kind), deterministic=True)[0], expected)


def test_a_plain_actor_and_critic_see_observations_and_act_as_they_say() -> None:
    actor, critic = layers((3, 8, 2), 0), layers((3, 8, 1), 1)
    ours, rows = ActorCritic(Perceptron(shared(actor)), Perceptron(shared(critic))), torch.randn(50, 3)
    np.testing.assert_allclose(ours.actions(rows.numpy()), actor(rows).detach(), atol=1e-6)
    np.testing.assert_allclose(ours.values(rows.numpy()), critic(rows).detach()[:, 0], atol=1e-6)


def quotes_in_torch(architecture: Architecture, weights: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """Mean actions as the documentation of `QuoteNetwork` has them."""
    q, rest = rows[:, :1], rows[:, 1:]
    seen = torch.cat([FAR * torch.tanh(q.abs() / FAR), rest], dim=1) if architecture.fold else rows
    for i in range(0, 2 * len(architecture.hidden) + 2, 2):
        seen = nn.functional.linear(seen, weights[f"actor.{i}.weight"], weights[f"actor.{i}.bias"])
        seen = torch.tanh(seen) if i < 2 * len(architecture.hidden) else architecture.action_scale * seen
    if not architecture.fold:
        return seen
    even, odd, hedge = seen[:, :1], q * seen[:, 1:2], q * seen[:, 2:]
    return torch.cat([even + odd, even - odd, hedge], dim=1)


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize("fold", [True, False])
def test_quotes_and_their_gradients_are_those_of_torch(fold: bool, outputs: int) -> None:
    architecture = Architecture(4, (16, 8), fold, 0.3, outputs)
    arrays = random_weights(architecture, 0.5)
    rows, weighing = (np.random.default_rng(1).normal(size=(ROWS, n)).astype(np.float32) for n in (4, outputs))
    weights = {name: torch.from_numpy(values).requires_grad_() for name, values in arrays.items()}
    actions = quotes_in_torch(architecture, weights, torch.from_numpy(rows))
    (actions * torch.from_numpy(weighing)).sum().backward()

    network = QuoteNetwork(architecture, {name: values.detach().numpy() for name, values in weights.items()})
    np.testing.assert_allclose(network.actions(rows), actions.detach(), atol=1e-5)
    totals = [np.zeros_like(weight) for weight in network.weights("actor")]
    activations = network.actor.activations(network.actor_inputs(rows))
    network.actor.add_gradients(totals, activations, network.unmixed(rows, weighing))
    for name, total in zip([name for name in arrays if name.startswith("actor")], totals, strict=True):
        gradient = weights[name].grad
        assert gradient is not None
        np.testing.assert_allclose(total, gradient, atol=1e-5 * float(gradient.abs().max()), err_msg=name, rtol=1e-4)


@pytest.mark.parametrize("fold", [True, False])
def test_values_see_no_sign_where_the_market_has_none(fold: bool) -> None:
    architecture = Architecture(3, (8,), fold)
    network = QuoteNetwork(architecture, random_weights(architecture, 0.5))
    rows = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    kept = rows.copy()
    mirrored = rows * np.array([-1, 1, 1], dtype=np.float32)
    assert np.array_equal(network.values(rows), network.values(mirrored)) == fold
    np.testing.assert_array_equal(rows, kept)
