"""Claim 6: toxic flow makes the maker protect itself, and the uninformed pay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from evaluate.article import played
from evaluate.article.bench import RISK_AVERSION, Bench, Maker
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.article.information import FINE, JUMPS, informed_market, jump_of
from evaluate.article.ledger import Ledger, ledger
from evaluate.article.quoting import ROUNDING
from evaluate.article.slicing import evenly
from evaluate.article.spells import spells
from evaluate.article.trader import price_round_trip, price_schedule
from evaluate.metrics import Estimate
from evaluate.text import number, with_interval
from mmenv.closed_forms import asymptotic_glft, avellaneda_stoikov
from mmenv.market import Market
from mmenv.markout import markout
from mmenv.objectives import ExponentialUtility
from mmenv.quotes import QuoteTable
from mmenv.solver import evaluate_exactly

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# The share at which the markouts are simulated too; and those at which a maker that minds the mid's risk is solved.
SIMULATED_SHARE = 0.2
RISKY_SHARES = (0.0, 0.2, 0.5)
# Horizons of the markouts, as parts of the session; the first of all is one step.
HORIZONS = (0.01, 0.05, 0.25)
HELD = 0.05
# A maker passes on its losses to the informed if its half-spread rises by as much, to this part of it.
PASSED_ON = 0.1
FORMULAS = ("as", "glft")
PAYERS = ("one", "trip", "trip_late", "sweep", "even", "paid", "gained", "ignorant_fills", "kept")


@dataclass(frozen=True)
class Point:
    """The exact optimum in a market with some informed takers, and what others make of it.

    Attributes:
        market: the market.
        half_spread: half the spread of a flat maker at half time [price].
        skew: how far its quotes' centre falls with one unit more [price].
        markouts: at one step and at HORIZONS, shape (horizons,) [price].
        worth: the objective by maker [price].
        book: who pays the optimal maker.
        costs: what a trader who knows nothing pays, on top of the flow, by schedule [price per unit].
    """

    market: Market
    half_spread: float
    skew: float
    markouts: np.ndarray
    worth: dict[str, float]
    book: Ledger
    costs: dict[str, float] = field(repr=False)

    @property
    def payers(self) -> dict[str, float]:
        """Costs a unit, what the two kinds of takers pay and gain a unit, and what the maker keeps of each fill."""
        ignorant, informed = float(self.book.ignorant_fills[0]), float(self.book.informed_fills[0])
        return self.costs | {
            "paid": float(self.book.paid[0]) / ignorant,
            "gained": float(self.book.gained[0]) / informed if informed else 0.0,
            "ignorant_fills": ignorant,
            "kept": float(self.book.profit[0]) / (ignorant + informed),
        }


def point(bench: Bench, share: float, jump: float) -> Point:
    """Solve the bench's market with informed takers, and price everything in it."""
    market = informed_market(bench.market, share, jump)
    maker = Maker.optimal(market, bench.objective)
    half_spread, skew = flat_quotes(market, maker.quotes, 0)
    horizons = [1, *(round(part * market.steps) for part in HORIZONS)]
    tables = {"optimum": maker.quotes, **formulas(market)}
    return Point(
        market=market,
        half_spread=half_spread,
        skew=skew,
        markouts=markout(market, maker.quotes, horizons).ask,
        worth={name: evaluate_exactly(market, bench.objective, table).objective for name, table in tables.items()},
        book=ledger(market, maker.quotes),
        costs=_costs(maker, bench.order),
    )


def formulas(market: Market) -> dict[str, QuoteTable]:
    """The formulas' quotes; they do not see who is informed."""
    return {"as": avellaneda_stoikov(market, RISK_AVERSION), "glft": asymptotic_glft(market, RISK_AVERSION)}


def flat_quotes(market: Market, quotes: QuoteTable, regime: int) -> tuple[float, float]:
    """Half the spread of a flat maker at half time, and how far its centre falls with one unit more [price]."""
    n, flat = market.steps // 2, market.max_inventory
    bid, ask = quotes.bid_depth[n, regime], quotes.ask_depth[n, regime]
    centre = (ask - bid) / 2
    return float(ask[flat] + bid[flat]) / 2, float(centre[flat] - centre[flat + 1])


def _costs(maker: Maker, order: int) -> dict[str, float]:
    """What a trader on top of the flow pays who knows nothing; to him the mid is a martingale, so only depths count."""
    chain, market = maker.chain, maker.chain.market
    first, last = market.steps // 4, 3 * market.steps // 4
    at_once, late = price_round_trip(chain, first, 0, 1, np.array([0, round(HELD * market.steps)]))
    return {
        "one": float(chain.ask_depth[first, chain.at(0)]),
        "trip": float(at_once),
        "trip_late": float(late),
        "sweep": price_schedule(chain, first, 0, [(first, order)]).per_unit,
        "even": price_schedule(chain, first, 0, evenly(first, last, order)).per_unit,
    }


def risky(bench: Bench, jump: float) -> dict[float, dict[str, float]]:
    """The same for a maker with exponential utility, whom the jumps' risk concerns, by the share of the informed.

    GLFT is also told how much the mid moves in all, jumps included. Solving takes long: steps are the bench's.
    """
    objective, found = ExponentialUtility(RISK_AVERSION), {}
    for share in RISKY_SHARES:
        market = replace(bench.market, informed_share=share, informed_jump=jump)
        maker = Maker.optimal(market, objective)
        told = replace(market, volatility=total_volatility(market))
        tables = {"optimum": maker.quotes, **formulas(market), "glft_told": asymptotic_glft(told, RISK_AVERSION)}
        half_spread, skew = flat_quotes(market, maker.quotes, 0)
        found[share] = {"half_spread": half_spread, "skew": skew, "volatility": told.volatility} | {
            name: evaluate_exactly(market, objective, table).objective for name, table in tables.items()
        }
    return found


def total_volatility(market: Market) -> float:
    """Of the mid, jumps included, in a market of one regime [price / sqrt(time)]."""
    return float(np.sqrt(market.volatility**2 + market.jump_variance[0, 0] / market.dt))


def claim_6(bench: Bench) -> Finding:
    """Toxic flow makes the maker protect itself."""
    jumps = [jump_of(bench.market, part) for part in JUMPS]
    sweep = {jump: {share: point(bench, share, jump) for share in SHARES} for jump in jumps}
    mild, strong = sweep.values()
    simulated = _simulated(bench, strong[SIMULATED_SHARE].market)
    minded = risky(bench, jumps[-1])
    weather = spells()
    facts = _facts(sweep, minded) | weather.facts
    facts["simulation_agrees"] = all(
        abs(exact - figure.value) <= 2 * figure.half_width
        for exact, figure in zip(strong[SIMULATED_SHARE].markouts, simulated, strict=True)
    )
    values = _values(bench, mild, strong, simulated, minded) | weather.values
    grids = {
        "markouts": _markout_rows(strong, simulated, bench.market.horizon),
        "toxic": _quote_rows(sweep),
        "payers": _payer_rows(strong),
        "risky": _risky_rows(minded),
        "spells": weather.rows,
    }
    curves: dict[str, Any] = {"shares": SHARES, "sweep": sweep, "risky": minded, "spells": weather.curves}
    return Finding(6, verdict(facts), values, facts, grids, curves)


def verdict(facts: dict[str, bool]) -> Verdict:
    """The claim names three things: a wider spread, more skew, and who pays."""
    if not (facts["widens"] and facts["uninformed_pay"]):
        return Verdict.FAILS
    return Verdict.HOLDS if facts["skews"] else Verdict.OTHERWISE


def _rises(values: Iterable[float]) -> bool:
    return all(after > before + ROUNDING for before, after in pairwise(values))


def _facts(sweep: dict[float, dict[float, Point]], minded: dict[float, dict[str, float]]) -> dict[str, bool]:
    lines = [list(points.values()) for points in sweep.values()]
    strong = lines[-1]
    plain, toxic = minded[RISKY_SHARES[0]], minded[RISKY_SHARES[-1]]
    grown = {key: toxic[key] / plain[key] for key in ("half_spread", "skew")}
    kept = {name: strong[-1].worth[name] / strong[0].worth[name] for name in strong[0].worth}
    told = toxic["optimum"] - toxic["glft_told"], toxic["optimum"] - toxic["glft"]
    return {
        "widens": all(_rises(p.half_spread for p in line) for line in lines),
        "skews": all(_rises(p.skew for p in line) for line in lines),
        "passed_on": all(
            abs(p.half_spread - line[0].half_spread - p.markouts[0]) <= PASSED_ON * p.markouts[0]
            for line in lines
            for p in line
        ),
        "stays": all(np.ptp(p.markouts) <= 0.01 * p.markouts[0] + ROUNDING for p in strong),
        "uninformed_pay": all(_rises(p.costs[key] for p in line) for line in lines for key in strong[0].costs),
        "informed_gain": all(p.payers["gained"] > 0 for p in strong[1:]),
        "maker_loses": _rises(-p.worth["optimum"] for p in strong),
        "formulas_fall": all(kept[name] < kept["optimum"] / 2 for name in FORMULAS),
        "risk_skews": grown["skew"] > grown["half_spread"] > 1,
        "told_helps": told[0] < told[1] / 2,
    }


def _values(
    bench: Bench,
    mild: dict[float, Point],
    strong: dict[float, Point],
    simulated: list[Estimate],
    minded: dict[float, dict[str, float]],
) -> dict[str, float]:
    zero, shown, most = strong[0.0], strong[SIMULATED_SHARE], strong[SHARES[-1]]
    values: dict[str, float] = {
        "jump": shown.market.informed_jump,
        "mild_jump": mild[0.0].market.informed_jump,
        "share": 100 * SIMULATED_SHARE,
        "most_share": 100 * SHARES[-1],
        "arrivals": bench.market.arrival_rate * bench.market.dt / FINE,
        "fine": FINE,
        "markout": shown.markouts[0],
        "simulated": simulated[0].value,
        "half_width": simulated[0].half_width,
        "sessions": _sessions(bench),
        "order": bench.order,
        "held": HELD * bench.market.horizon,
        "passed": 100 * (most.half_spread - zero.half_spread) / most.markouts[0] if most.markouts[0] else 0.0,
        "risk_aversion": RISK_AVERSION,
    }
    for name, p in (("zero", zero), ("shown", shown), ("most", most)):
        values |= {f"half_spread_{name}": p.half_spread, f"skew_{name}": p.skew}
        values |= {f"{key}_{name}": value for key, value in p.payers.items()}
        values |= {f"worth_{maker}_{name}": worth for maker, worth in p.worth.items()}
    values["skew_grown"] = 100 * (most.skew / zero.skew - 1)
    values["spread_grown"] = 100 * (most.half_spread / zero.half_spread - 1)
    values["fewer"] = 100 * (1 - most.book.fills[0] / zero.book.fills[0])
    for name, share in (("zero", RISKY_SHARES[0]), ("most", RISKY_SHARES[-1])):
        values |= {f"risky_{key}_{name}": value for key, value in minded[share].items()}
    return values


def _sessions(bench: Bench) -> int:
    """As much work as the other simulations, in finer steps."""
    return max(2, bench.episodes // FINE)


def _simulated(bench: Bench, market: Market) -> list[Estimate]:
    horizons = [1, *(round(part * market.steps) for part in HORIZONS)]
    quotes = Maker.optimal(market, bench.objective).quotes
    return played.markouts(market, quotes, horizons, _sessions(bench), bench.seed)


def _markout_rows(points: dict[float, Point], simulated: list[Estimate], horizon: float) -> list[list[Cell]]:
    head: list[Cell] = [*labels("share_informed", "how", "one_step")]
    rows: list[list[Cell]] = [[*head, *(Label("time_after", {"time": part * horizon}) for part in HORIZONS)]]
    for share, p in points.items():
        rows.append([number(100 * share, 0), Label("exact"), *(number(m, 4) for m in p.markouts)])
        if share == SIMULATED_SHARE:
            rows.append([number(100 * share, 0), Label("simulated"), *map(with_interval, simulated)])
    return rows


def _quote_rows(sweep: dict[float, dict[float, Point]]) -> list[list[Cell]]:
    head = labels("jump_known", "share_informed", "markout_one", "half_spread", "skew_unit", "optimum", *FORMULAS)
    rows: list[list[Cell]] = [head]
    for jump, points in sweep.items():
        for share, p in points.items():
            cells = [number(x, 4) for x in (p.markouts[0], p.half_spread, p.skew)]
            worth = [number(p.worth[name], 2) for name in ("optimum", *FORMULAS)]
            rows.append([number(jump, 2), number(100 * share, 0), *cells, *worth])
    return rows


def _payer_rows(points: dict[float, Point]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [labels("share_informed", *(f"payer_{key}" for key in PAYERS))]
    for share, p in points.items():
        cells = [number(p.payers[key], 1 if key == "ignorant_fills" else 4) for key in PAYERS]
        rows.append([number(100 * share, 0), *cells])
    return rows


def _risky_rows(minded: dict[float, dict[str, float]]) -> list[list[Cell]]:
    keys = ("volatility", "half_spread", "skew", "optimum", "as", "glft", "glft_told")
    rows: list[list[Cell]] = [
        labels("share_informed", "all_moves", "half_spread", "skew_unit", "optimum", *FORMULAS, "glft_told")
    ]
    for share, found in minded.items():
        cells = [number(found[key], 4 if key in ("half_spread", "skew") else 2) for key in keys]
        rows.append([number(100 * share, 0), *cells])
    return rows
