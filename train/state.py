"""The state of a run between two rollouts: all that continuing it needs, as plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents import checkpoint
from train.algorithm import MarketMakingPPO


def snapshot(algorithm: MarketMakingPPO, record: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Copy the state: weights, averages, the optimiser's moments, the random generator, the place on the tapes.

    Sessions start and end with a rollout, so the place on the tapes is the number of the next episode.

    Args:
        algorithm: between two rollouts.
        record: JSON values to keep beside it.
    """
    tensors = {name: value.detach().numpy().copy() for name, value in _tensors(algorithm).items()}
    tensors["random"] = torch.get_rng_state().numpy().copy()
    counters = {
        "num_timesteps": algorithm.num_timesteps,
        "n_updates": algorithm._n_updates,
        "averaged": algorithm.averaged,
        "centre": algorithm.centre,
        "unit": algorithm.unit,
        "episode": algorithm.episode,
    }
    return tensors, {**record, **counters}


def restore(algorithm: MarketMakingPPO, tensors: dict[str, np.ndarray], record: dict[str, Any], folder: Path) -> None:
    """Put an algorithm into the state that `snapshot` copied.

    Raises:
        RunError: the tensors or the record are not those of such an algorithm.
    """
    path = folder / "state.safetensors"
    own = _tensors(algorithm)
    expected = {name: value.detach().numpy() for name, value in own.items()}
    checkpoint.check_arrays(path, tensors, expected | {"random": torch.get_rng_state().numpy()})
    try:
        algorithm.num_timesteps = int(record["num_timesteps"])
        algorithm._n_updates = int(record["n_updates"])
        algorithm.averaged = int(record["averaged"])
        algorithm.centre, algorithm.unit = float(record["centre"]), float(record["unit"])
        episode = int(record["episode"])
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(torch.from_numpy(tensors[name]))
        torch.set_rng_state(torch.from_numpy(tensors["random"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise checkpoint.RunError(f"{path} states no valid state: {error}") from error
    algorithm.continue_from(episode)


def _tensors(algorithm: MarketMakingPPO) -> dict[str, torch.Tensor]:
    """Every tensor of the state, by name; writing into them changes the algorithm."""
    named: dict[str, torch.Tensor] = {}
    for prefix, network in (("network", algorithm.policy.network), ("average", algorithm.average)):
        named.update({f"{prefix}.{name}": torch.from_numpy(values) for name, values in network.arrays.items()})
    optimizer = algorithm.policy.optimizer
    for name, weight in algorithm.policy.weights.items():
        named.update({f"optimizer.{name}.{key}": moment for key, moment in optimizer.state[weight].items()})
    return named
