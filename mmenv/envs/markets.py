"""The markets behind the registered ids: each function's docstring is the environment's page, its value the arguments.

All are `MarketMakingEnv` with other parameters: spaces, reward forms, infos and episode end are described there.
Time is measured in sessions. Any argument can be replaced: `gymnasium.make("mmenv/ToxicFlow-v0", steps=100)`.
"""

from __future__ import annotations

import math
from typing import Any

from mmenv.regimes import rouwenhorst


def avellaneda_stoikov() -> dict[str, Any]:
    """The market of Avellaneda & Stoikov (2008), section 3.3, with an exponential inventory penalty."""
    return {}


def exponential_utility() -> dict[str, Any]:
    """The market of Avellaneda & Stoikov (2008) with their objective, CARA utility of terminal wealth."""
    return {"objective": {"name": "exponential_utility", "risk_aversion": 0.1}}


def toxic_flow() -> dict[str, Any]:
    """`mmenv/ToxicFlow-v0`: quiet trading, broken by spells in which most takers know where the price goes.

    ## Description
    Two regimes that the maker sees. In *calm* flow (regime 0, three quarters of the time, spells of a sixth of a
    session) one taker in ten knows of a move of 0.3. In *toxic* flow (regime 1, spells of an eighteenth of a
    session: news, liquidations) four in five know of a move of 0.8, prices are more volatile, orders are more
    frequent and go deeper. A quote too narrow for the regime is filled by those who know: after a fill the mid
    moves against the maker. A formula that looks at volatility and arrival rates alone sees a better market to
    trade in, where a wide quote is right.

    ## Parameters
    | parameter | calm | toxic |
    |---|---|---|
    | volatility | 1.5 | 2.5 |
    | arrival_rate | 80 | 100 |
    | depth_decay | 2.5 | 2.0 |
    | informed_share | 0.1 | 0.8 |
    | informed_jump | 0.3 | 0.8 |

    Rates of change 6 and 18 a session, depths in [-1, 2.5], objective exponential penalty with weight 1, rate 0.5.

    ## Observation space
    `Box((5,), float32)`: inventory, time left, nearness of the end, and one entry for each regime.

    ## Versions
    * v0: first version.
    """
    return {
        "volatility": [1.5, 2.5],
        "arrival_rate": [80.0, 100.0],
        "depth_decay": [2.5, 2.0],
        "informed_share": [0.1, 0.8],
        "informed_jump": [0.3, 0.8],
        "transition_rates": [[-6.0, 6.0], [18.0, -18.0]],
        "min_depth": -1.0,
        "max_depth": 2.5,
        "objective": {"name": "exponential_penalty", "weight": 1.0, "rate": 0.5},
    }


def thin_market() -> dict[str, Any]:
    """`mmenv/ThinMarket-v0`: a small coin, where few orders come, in bursts, to a wide book.

    ## Description
    *Quiet* most of the time (regime 0): six orders a session and side. In *bursts* (regime 1, a fortieth of a
    session each, about eight a session) they come ten times as fast and the price moves twice as much: arrivals are
    a Markov-modulated Poisson process, and flow is clustered. Takers are impatient, so half of those at the mid
    would still pay 1.7 % more; a quarter of them know of a move of 1.5 %. The venue takes ten basis points of the
    notional per fill. A unit held may have to be held for long: inventory is dear and the limit is small.

    ## Parameters
    | parameter | quiet | burst |
    |---|---|---|
    | volatility | 3 | 6 |
    | arrival_rate | 6 | 60 |

    depth_decay 0.4, informed_share 0.25, informed_jump 1.5, fee_rate 0.001, max_inventory 10, poisson fills, rates of
    change 10 and 40 a session, depths in [-4, 12], objective exponential penalty with weight 4, rate 0.5.

    ## Observation space
    `Box((5,), float32)`: inventory, time left, nearness of the end, and one entry for each regime.

    ## Versions
    * v0: first version.
    """
    return {
        "volatility": [3.0, 6.0],
        "arrival_rate": [6.0, 60.0],
        "depth_decay": 0.4,
        "informed_share": 0.25,
        "informed_jump": 1.5,
        "fee_rate": 0.001,
        "max_inventory": 10,
        "fill_law": "poisson",
        "transition_rates": [[-10.0, 10.0], [40.0, -40.0]],
        "min_depth": -4.0,
        "max_depth": 12.0,
        "objective": {"name": "exponential_penalty", "weight": 4.0, "rate": 0.5},
    }


def deep_market() -> dict[str, Any]:
    """`mmenv/DeepMarket-v0`: a major, where orders are dense on both sides and cancel out, on a grid of ticks.

    ## Description
    More than one order a step and side comes to the touch, so both quotes often fill in one step and inventory
    nets out. The book is tight: the price moves by 0.5 in a session, quotes are a few ticks of 0.01 from the mid,
    and the venue pays a rebate of a fifth of a tick per fill. One taker in ten knows of a move of five ticks.
    Depths are whole ticks: an action quotes the nearest one, of two as near the wider. The optimum is a finite
    maximum, coupled between the sides.

    ## Parameters
    volatility 0.5, arrival_rate 600, depth_decay 20, informed_share 0.1, informed_jump 0.05, tick 0.01, fee -0.002,
    400 steps, poisson fills, depths in [-0.2, 0.4], objective exponential penalty with weight 0.5, rate 0.6.

    ## Observation space
    `Box((3,), float32)`: inventory, time left, nearness of the end.

    ## Versions
    * v0: first version.
    """
    return {
        "volatility": 0.5,
        "arrival_rate": 600.0,
        "depth_decay": 20.0,
        "steps": 400,
        "informed_share": 0.1,
        "informed_jump": 0.05,
        "tick": 0.01,
        "fee": -0.002,
        "fill_law": "poisson",
        "min_depth": -0.2,
        "max_depth": 0.4,
        "objective": {"name": "exponential_penalty", "weight": 0.5, "rate": 0.6},
    }


def signal() -> dict[str, Any]:
    """`mmenv/Signal-v0`: the maker sees a short-lived drift of the mid before quoting.

    ## Description
    The drift follows an Ornstein-Uhlenbeck process with a memory of a twentieth of a session and a standard
    deviation of 20 per session, of which the maker sees one of five values (a Rouwenhorst chain: regimes 0 to 4
    from falling to rising, starting at none). Over its memory a drift of one standard deviation moves the mid by
    1, more than a half-spread earns: the optimum leans with the signal, crosses the mid to be filled on one side,
    and stays away on the other.

    ## Parameters
    volatility 2, arrival_rate 100, depth_decay 1.5, depths in [-2, 4], objective exponential penalty (weight 1, rate
    0.3).

    ## Observation space
    `Box((8,), float32)`: inventory, time left, nearness of the end, and one entry for each regime.

    ## Versions
    * v0: first version.
    """
    drift, chain = rouwenhorst(5, math.exp(-20 / 200), 20.0)
    return {
        "drift": drift.tolist(),
        "transition_matrix": chain.tolist(),
        "initial_regime": 2,
        "arrival_rate": 100.0,
        "min_depth": -2.0,
        "max_depth": 4.0,
    }


def hedged() -> dict[str, Any]:
    """`mmenv/Hedged-v0`: a maker with few clients and dear inventory, next to a venue where it can be traded away.

    ## Description
    Clients come less than a third as often as in Avellaneda & Stoikov's market, so that inventory is slow to net
    out, and it is dear to hold. Before quoting, the maker may trade any whole number of units at the mid, at 0.05 a
    unit and 0.2 a trade, a third of what a client pays over the mid. The optimum lets inventory wander in a band
    and trades it back to zero when it leaves.

    ## Action space
    `Box(-1, 1, (3,), float32)`: bid depth, ask depth, and the hedge, the integer nearest to a times max_inventory.

    ## Parameters
    As `mmenv/AvellanedaStoikov-v0`, with arrival_rate 40, hedge_cost 0.05, hedge_fixed_cost 0.2, max_inventory 10,
    objective exponential penalty with weight 6, rate 0.5.

    ## Versions
    * v0: first version.
    """
    return {
        "arrival_rate": 40.0,
        "hedge_cost": 0.05,
        "hedge_fixed_cost": 0.2,
        "max_inventory": 10,
        "objective": {"name": "exponential_penalty", "weight": 6.0, "rate": 0.5},
    }
