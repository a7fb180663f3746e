"""Claims 7 and 8: hedging, and how inventory risk is punished."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluate.article.bench import RISK_AVERSION, Bench, Maker
from evaluate.article.calibration import calibrated, mean_square_inventory
from evaluate.article.chain import Chain
from evaluate.article.families import best_constant
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.article.quoting import ROUNDING, event_study
from evaluate.article.slicing import evenly
from evaluate.article.trader import price_schedule
from evaluate.text import number
from mmenv.objectives import ExponentialUtility, Objective, QuadraticPenalty, RiskNeutral
from mmenv.solver import evaluate_exactly

LAGS = (0, 1, 2, 5, 10, 20, 50)
# A hedge that is this many steps late is looked at more closely.
LATE = 10
# How far out the skew is compared with that of a flat maker.
FAR = 8


def claim_7(bench: Bench) -> Finding:
    """Hedged, the mid's moves do not matter to profit."""
    makers = {**bench.makers, "constant": Maker.of(bench.market, best_constant(bench.market, bench.objective)[1])}
    found = {name: _variance(bench, maker) for name, maker in makers.items()}
    head: list[Cell] = [*labels("maker", "profit", "variance", "from_mid", "std_unhedged", "std_hedged")]
    rows: list[list[Cell]] = [[*head, *(Label("std_lag", {"time": bench.time(lag)}) for lag in (1, LATE))]]
    for name, f in found.items():
        cells = [number(f["mean"], 2), number(f["std"] ** 2, 2), number(f["share"], 1)]
        rows.append([Label(name), *cells, *(number(f[key]) for key in ("std", "hedged", "std_1", f"std_{LATE}"))])
    facts = {
        "mean_same": max(f["mean_moved"] for f in found.values()) < ROUNDING,
        "adds_up": max(f["cross"] for f in found.values()) < ROUNDING,
        "mostly_mid": found["optimum"]["share"] > 50,
        "late_always_helps": all(f[f"std_{LATE}"] < f["std"] for f in found.values()),
    }
    verdict = Verdict.HOLDS if facts["mean_same"] and facts["adds_up"] else Verdict.FAILS
    values = {f"{key}_{name}": value for name, f in found.items() for key, value in f.items()}
    values |= {"lag": bench.time(1), "late": bench.time(LATE)}
    curves = {
        name: {
            "lags": [bench.time(lag) for lag in LAGS],
            "std": [f[f"std_{lag}"] for lag in LAGS],
            "unhedged": f["std"],
        }
        for name, f in found.items()
    }
    return Finding(7, verdict, values, facts, {"variance": rows}, curves)


def _variance(bench: Bench, maker: Maker) -> dict[str, float]:
    """Profit's variance in two parts: the fills' (all that is left where the mid stands still) and the mid's."""
    still = replace(bench.market, volatility=0.0)
    moving, fixed = (evaluate_exactly(market, bench.objective, maker.quotes) for market in (bench.market, still))
    total, fills = moving.profit_std**2, fixed.profit_std**2
    mid = exposure_variance(maker.chain, None)
    return {
        "mean": moving.profit_mean,
        "mean_moved": abs(moving.profit_mean - fixed.profit_mean),
        "cross": abs(total - fills - mid) / total,
        "share": 100 * mid / total,
        "std": moving.profit_std,
        "hedged": fixed.profit_std,
        **{f"std_{lag}": float(np.sqrt(fills + exposure_variance(maker.chain, lag))) for lag in LAGS},
    }


def exposure_variance(chain: Chain, lag: int | None) -> float:
    """Variance of profit that comes from the mid if each fill is hedged at the mid `lag` steps later, free of cost.

    The mid is a martingale that fills know nothing of, so its moves are uncorrelated with each other and with what
    fills earn: the variance is sigma^2 dt sum E[(q' - q' of `lag` steps ago)^2], which is 0 at lag 0.

    Args:
        chain: the maker.
        lag: steps, >= 0, or None for no hedge at all.
    """
    market = chain.market
    q = market.inventories.astype(float)
    visits = chain.path(0, chain.start(0))
    squares = visits @ q**2
    total = float(squares[1:].sum())
    if lag is not None:
        # later[n] is E[q at n + lag | q at n], for every state.
        later = np.broadcast_to(q, (market.steps + 1, len(q)))
        for _ in range(lag):
            later = np.stack([chain.backward(n, later[n + 1]) for n in range(len(later) - 1)])
        joint = np.sum(visits[: len(later)] * q * later, axis=1)
        total += float(np.sum((squares[: len(later)] - 2 * joint)[max(1 - lag, 0) :]))
    return market.volatility**2 * market.dt * total


def claim_8(bench: Bench) -> Finding:
    """Inventory risk is punished exponentially."""
    market = bench.market
    reference = bench.optimum
    target = mean_square_inventory(market, reference.quotes)
    objectives: dict[str, Objective] = {
        "exponential": bench.objective,
        "cara": calibrated(market, ExponentialUtility, RISK_AVERSION, target),
        "quadratic": calibrated(market, QuadraticPenalty, 0.1, target),
        "neutral": RiskNeutral(),
    }
    chains = {name: Maker.optimal(market, objective).chain for name, objective in objectives.items()}
    head: list[Cell] = [*labels("objective", "strength", "held"), *(Label("skew_at", {"q": q}) for q in (0, FAR))]
    rows: list[list[Cell]] = [[*head, *labels("growth", "off_quotes", "off_centres", "off_cara")]]
    visits = reference.chain.path(0, reference.chain.start(0))[:-1]
    found = {}
    for name, chain in chains.items():
        near, far = _skew(bench, chain, 0), _skew(bench, chain, FAR)
        found[name] = {
            "near": near,
            "far": far,
            "growth": far / near,
            "quotes": quote_distance(visits, chain, chains["exponential"]),
            "centres": centre_distance(visits, chain, chains["exponential"]),
            "centres_cara": centre_distance(visits, chain, chains["cara"]),
        }
        held = float(np.sqrt(np.mean(chain.path(0, chain.start(0))[1:] @ market.inventories.astype(float) ** 2)))
        cells = [number(held, 2), *(number(found[name][key], 4) for key in ("near", "far"))]
        cells += [number(found[name]["growth"], 2)]
        cells += [number(found[name][key], 4) for key in ("quotes", "centres", "centres_cara")]
        rows.append([Label(f"objective_{name}"), Label(f"strength_{name}", _strength(objectives[name])), *cells])
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
    values |= {"far_at": FAR, "units": bench.event, "order": bench.order, **control}
    gamma = _strength(objectives["cara"])["risk_aversion"]
    values |= {"gamma": gamma, "weight": _strength(objectives["quadratic"])["weight"]}
    values["jump_shown"] = abs(control["jump"])
    half_spread = _half_spread(bench)
    values["centres_percent"] = 100 * found["cara"]["centres"] / half_spread
    values["centres_quadratic_percent"] = 100 * found["quadratic"]["centres"] / half_spread
    values |= {"cara_weight": gamma * market.volatility**2 / 2, "half_spread": half_spread}
    curves = {
        "midpoints": {name: chain.midpoint[bench.middle] for name, chain in chains.items()},
        "inventories": market.inventories,
        "visits": visits[bench.middle],
    }
    return Finding(8, verdict, values, facts, {"objectives": rows, "control": control_rows}, curves)


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
