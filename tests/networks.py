"""Networks for tests."""

import numpy as np

from agents.ppo import Architecture


def random_weights(architecture: Architecture, size: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal weights of standard deviation `size`."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, size, shape).astype(np.float32) for name, shape in architecture.shapes.items()}
