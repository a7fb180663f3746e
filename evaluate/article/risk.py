"""Claim 8: how inventory risk is punished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from evaluate.article.bench import RISK_AVERSION, Bench, Maker
from evaluate.article.calibration import calibrated, mean_square_inventory
from evaluate.article.chain import Chain
from evaluate.article.finding import Cell, Finding, Grid, Label, Verdict, labels
from evaluate.article.quoting import event_study
from evaluate.article.slicing import evenly
from evaluate.article.trader import price_schedule
from evaluate.text import number
from mmenv.objectives import ExponentialUtility, Objective, QuadraticPenalty, RiskNeutral

# How far out the skew is compared with that of a flat maker.
FAR = 8


def claim_8(bench: Bench) -> Finding:
    """Inventory risk is punished exponentially."""
    objectives = _punishments(bench)
    chains = {name: Maker.optimal(bench.market, objective).chain for name, objective in objectives.items()}
    visits = bench.optimum.chain.path(0, bench.optimum.chain.start(0))[:-1]
    found = {name: _compared(bench, chain, chains, visits) for name, chain in chains.items()}
    control, control_rows = _control(bench)
    growth = {name: found[name]["growth"] for name in found}
    facts = {
        "punished": all(found[name]["near"] > 0 for name in ("exponential", "cara", "quadratic")),
        # Not the utility's name but how the skew grows with inventory tells what kind of punishment it amounts to.
        "cara_is_exponential": abs(growth["cara"] - growth["exponential"]) < abs(growth["cara"] - growth["quadratic"]),
        "neutral_moves": abs(control["jump"]) > 1e-6,
        "limit_moves": control["jump_limit"] > 1e-6,
    }
    if not facts["punished"]:
        verdict = Verdict.FAILS
    else:
        verdict = Verdict.HOLDS if facts["cara_is_exponential"] else Verdict.OTHERWISE
    values = {f"{key}_{name}": value for name, f in found.items() for key, value in f.items()}
    values |= {**_numbers(bench, objectives, found), **control, "jump_shown": abs(control["jump"])}
    curves = {
        "midpoints": {name: chain.midpoint[bench.middle] for name, chain in chains.items()},
        "inventories": bench.market.inventories,
        "visits": visits[bench.middle],
    }
    grids = {"objectives": _rows(objectives, found), "control": control_rows}
    return Finding(8, verdict, values, facts, grids, curves)


def _punishments(bench: Bench) -> dict[str, Objective]:
    """Ways to punish inventory, of equal strength: their optimal makers hold equally much of it."""
    market = bench.market
    target = mean_square_inventory(market, bench.optimum.quotes)
    return {
        "exponential": bench.objective,
        "cara": calibrated(market, ExponentialUtility, RISK_AVERSION, target),
        "quadratic": calibrated(market, QuadraticPenalty, 0.1, target),
        "neutral": RiskNeutral(),
    }


def _compared(bench: Bench, chain: Chain, chains: Mapping[str, Chain], visits: np.ndarray) -> dict[str, float]:
    """A maker's skew, its growth with inventory, and how far its quotes lie from those of others, by visits."""
    near, far = _skew(bench, chain, 0), _skew(bench, chain, FAR)
    squares = chain.path(0, chain.start(0))[1:] @ bench.market.inventories.astype(float) ** 2
    return {
        "held": float(np.sqrt(np.mean(squares))),
        "near": near,
        "far": far,
        "growth": far / near,
        "quotes": quote_distance(visits, chain, chains["exponential"]),
        "centres": centre_distance(visits, chain, chains["exponential"]),
        "centres_cara": centre_distance(visits, chain, chains["cara"]),
    }


def _rows(objectives: Mapping[str, Objective], found: Mapping[str, Mapping[str, float]]) -> Grid:
    head: list[Cell] = [*labels("objective", "strength", "held"), *(Label("skew_at", {"q": q}) for q in (0, FAR))]
    rows: list[list[Cell]] = [[*head, *labels("growth", "off_quotes", "off_centres", "off_cara")]]
    digits = {"held": 2, "near": 4, "far": 4, "growth": 2, "quotes": 4, "centres": 4, "centres_cara": 4}
    for name, f in found.items():
        cells = [number(f[key], places) for key, places in digits.items()]
        rows.append([Label(f"objective_{name}"), Label(f"strength_{name}", _strength(objectives[name])), *cells])
    return rows


def _numbers(
    bench: Bench, objectives: Mapping[str, Objective], found: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """What the prose quotes beside the table."""
    gamma, half_spread = _strength(objectives["cara"])["risk_aversion"], _half_spread(bench)
    return {
        "far_at": FAR,
        "units": bench.event,
        "order": bench.order,
        "gamma": gamma,
        "weight": _strength(objectives["quadratic"])["weight"],
        "centres_percent": 100 * found["cara"]["centres"] / half_spread,
        "centres_quadratic_percent": 100 * found["quadratic"]["centres"] / half_spread,
        "cara_weight": gamma * bench.market.volatility**2 / 2,
        "half_spread": half_spread,
    }


def _skew(bench: Bench, chain: Chain, inventory: int) -> float:
    """How far the quotes' centre falls when the maker buys one more at an inventory, in the middle of the session."""
    row = chain.midpoint[bench.middle]
    return float(row[chain.at(inventory)] - row[chain.at(inventory + 1)])


def _half_spread(bench: Bench) -> float:
    """Half the optimal spread of a flat maker in the middle of the session [price]."""
    chain = bench.optimum.chain
    return float(chain.spread[bench.middle, chain.at(0)] / 2)


def quote_distance(visits: np.ndarray, one: Chain, other: Chain) -> float:
    """Root mean square difference of two makers' quotes, both sides, by visits, shape (steps, 2Q+1) [price]."""
    sides = ("bid_depth", "ask_depth")
    return _distance(np.stack([visits] * 2), *(np.stack([getattr(c, side) for side in sides]) for c in (one, other)))


def centre_distance(visits: np.ndarray, one: Chain, other: Chain) -> float:
    """The same of the centres of their quotes: how far they skew differently."""
    return _distance(visits, one.midpoint, other.midpoint)


def _distance(visits: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return float(np.sqrt(np.average((one[known] - other[known]) ** 2, weights=visits[known])))


def _strength(objective: Objective) -> dict[str, float]:
    return {key: value for key, value in objective.to_dict().items() if key != "name"}


def _control(bench: Bench) -> tuple[dict[str, float], list[list[Cell]]]:
    """What becomes of claims 0 and 4 with makers who do not mind risk, near a limit and far from one."""
    wide = replace(bench.market, max_inventory=4 * bench.market.max_inventory)
    chains = {
        "control_penalty": bench.optimum.chain,
        "control_limit": Maker.optimal(bench.market, RiskNeutral()).chain,
        "control_wide": Maker.optimal(wide, RiskNeutral()).chain,
    }
    rows: list[list[Cell]] = [labels("maker", "limit", "jump", "surcharge", "saving_even")]
    found = []
    for name, chain in chains.items():
        jump, surcharge, saving = _impact(bench, chain)
        found.append((jump, surcharge, saving))
        rows.append([Label(name), str(chain.market.max_inventory), *(number(x, 4) for x in (jump, surcharge, saving))])
    values = {"jump": found[2][0], "jump_limit": found[1][0], "jump_penalty": found[0][0], "saving": found[2][2]}
    return values | {"limit": bench.market.max_inventory, "wide_limit": wide.max_inventory}, rows


def _impact(bench: Bench, chain: Chain) -> tuple[float, float, float]:
    """The jump of the midpoint after a purchase, a sweep's surcharge a unit, and what slicing saves of it."""
    jump = float(event_study(chain, bench.first, bench.event)[0])
    sweep = price_schedule(chain, bench.first, 0, [(bench.first, bench.order)]).per_unit
    even = price_schedule(chain, bench.first, 0, evenly(bench.first, bench.last, bench.order)).per_unit
    return jump, sweep - float(chain.ask_depth[bench.first, chain.at(0)]), sweep - even
