"""Random markets with regimes, unlike sides, drift, informed takers, fees and ticks, that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmenv import Market

RICH = Market(
    steps=30,
    horizon=0.15,
    max_inventory=4,
    volatility=(1.0, 2.5, 1.5),
    drift=(0.0, 6.0, -9.0),
    bid_arrival_rate=(140.0, 60.0, 90.0),
    ask_arrival_rate=(100.0, 90.0, 90.0),
    bid_depth_decay=(1.5, 1.2, 2.0),
    ask_depth_decay=1.6,
    informed_share=(0.0, 0.6, 0.3),
    informed_jump=(0.0, 0.8, 0.5),
    transition_rates=[[-12.0, 8.0, 4.0], [20.0, -25.0, 5.0], [15.0, 5.0, -20.0]],
    initial_regime=1,
    fee=0.02,
    fee_rate=-0.0003,
    min_depth=-0.8,
    max_depth=2.0,
)


def random_market(rng: np.random.Generator, steps: int = 3) -> Market:
    """A small market of one to three regimes in which everything matters."""
    regimes, price = int(rng.integers(1, 4)), float(np.exp(rng.uniform(-1, 1)))

    def each(low: float, high: float) -> Any:
        values = rng.uniform(low, high, regimes).tolist()
        return values if regimes > 1 else values[0]

    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options["tick"] = 0.11 * price
    if rng.random() < 0.7:
        options |= {"informed_share": each(0, 1), "informed_jump": each(0, 2 * price)}
    if regimes > 1:
        chain = rng.dirichlet(np.ones(regimes), regimes)
        options["initial_regime"] = regimes - 1
        if rng.random() < 0.5:
            options["transition_matrix"] = chain.tolist()
        else:
            rates = 20 * chain
            np.fill_diagonal(rates, 0)
            np.fill_diagonal(rates, -rates.sum(axis=1))
            options["transition_rates"] = rates.tolist()
    return Market(
        steps=steps,
        horizon=steps / 30,
        max_inventory=2,
        volatility=each(0, 3 * price),
        drift=each(-20 * price, 20 * price),
        fill_law=str(rng.choice(["linear", "poisson"])),
        bid_arrival_rate=each(5, 50),
        ask_arrival_rate=each(5, 50),
        bid_depth_decay=each(0.7 / price, 1.4 / price),
        ask_depth_decay=each(0.7 / price, 1.4 / price),
        fee=float(rng.uniform(-0.1, 0.2)) * price,
        fee_rate=1e-4 * price,
        min_depth=float(rng.uniform(-1.5, 0.2)) * price,
        max_depth=float(rng.uniform(0.8, 3)) * price,
        **options,
    )
