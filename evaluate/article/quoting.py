"""Claims 0 to 2: how quotes move after a trade, and with which sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain, average, half_life, time_to
from evaluate.article.finding import Cell, Finding, Label, Verdict, labels
from evaluate.article.information import JUMPS, SPLIT_SHARES, jump_of, split_by_share
from evaluate.article.trader import buy_one, price_round_trip
from evaluate.text import number
from mmenv.market import Market
from mmenv.objectives import RiskNeutral
from mmenv.quotes import QuoteTable, quote_table
from mmenv.solver import ExactEvaluation, evaluate_exactly

# Below this, a difference of exact prices is rounding.
ROUNDING = 1e-9
# States seen less often than this do not count when quotes are compared state by state.
SELDOM = 1e-4
# What "soon" is, as a part of the session.
WINDOW = 0.05
# When to look again.
LATE = 0.25


def after_purchase(chain: Chain, n: int, units: int) -> np.ndarray:
    """The distribution of a flat maker's inventory just after a trader bought `units`."""
    chances = chain.start(0)
    for _ in range(units):
        chances, _, _ = buy_one(chain, n, chances)
    return chances


def event_study(chain: Chain, n: int, units: int) -> np.ndarray:
    """Expected quoted midpoint after a purchase less that without it, before steps n .. N-1 [price]."""
    stop = chain.market.steps - 1
    midpoints = chain.midpoint[n : stop + 1]
    bought, untouched = after_purchase(chain, n, units), chain.start(0)
    return average(chain.path(n, bought, stop), midpoints) - average(chain.path(n, untouched, stop), midpoints)


def claim_0(bench: Bench) -> Finding:
    """After you buy, the price goes against you."""
    late = bench.steps(LATE)
    stop = bench.market.steps - 1 - bench.first
    holding = np.unique(np.linspace(0, stop, 60).astype(int))
    events = {name: event_study(maker.chain, bench.first, bench.event) for name, maker in bench.makers.items()}
    trips = {name: _round_trip(bench, maker.chain, holding) for name, maker in bench.makers.items()}
    trips_late = {
        name: float(_round_trip(bench, maker.chain, np.array([late]))[0]) for name, maker in bench.makers.items()
    }
    splits, split_rows = split_by_share(bench, LATE)
    knowing = [split for share, split in splits.items() if share > 0]
    facts = {
        "information_stays": all(split.information > ROUNDING for split in knowing),
        "skew_reverts": all(split.skew[-1] < split.skew[0] / 2 for split in splits.values()),
        "jumps": all(path[0] > ROUNDING for path in events.values()),
        "reverts": all(path[late] < path[0] / 2 for path in events.values()),
        "below": any(path.min() < -ROUNDING for path in events.values()),
        "trip_dearer": all(trips_late[name] > trips[name][0] for name in trips),
    }
    against = facts["jumps"] and facts["reverts"]
    verdict = Verdict.HOLDS if facts["below"] else Verdict.OTHERWISE if against else Verdict.FAILS
    values = {**_event_numbers(bench, events["optimum"], late), "trip": trips["optimum"][0]}
    values |= {"trip_late": trips_late["optimum"], "jump_known": jump_of(bench.market, JUMPS[0])}
    for name, split in (("none", splits[0.0]), ("least", knowing[0]), ("most", knowing[-1])):
        values |= {f"information_{name}": split.information, f"skew_{name}": float(split.skew[0])}
    curves = {"events": events, "trips": trips, "holding": bench.time(1) * holding, "dt": bench.market.dt}
    curves |= {"splits": splits, "split_time": bench.time(stop)}
    grids = {"event": _event_rows(bench, events, trips, trips_late), "split": split_rows}
    return Finding(0, verdict, values, facts, grids, curves)


def _round_trip(bench: Bench, chain: Chain, holding: np.ndarray) -> np.ndarray:
    """What it costs to buy and sell back the event's units, by how long they are held, shape of `holding`."""
    return price_round_trip(chain, bench.first, 0, bench.event, holding)


def _event_numbers(bench: Bench, event: np.ndarray, late: int) -> dict[str, float]:
    """What the prose quotes of the optimal maker's event study."""
    return {
        "units": bench.event,
        "jump": event[0],
        "late": event[late],
        "late_time": bench.time(late),
        "half_life": bench.time(half_life(event)),
        "least_share": 100 * SPLIT_SHARES[1],
        "most_share": 100 * SPLIT_SHARES[-1],
    }


def _event_rows(
    bench: Bench, events: dict[str, np.ndarray], trips: dict[str, np.ndarray], trips_late: dict[str, float]
) -> list[list[Cell]]:
    soon, late = bench.steps(WINDOW), bench.steps(LATE)
    head: list[Cell] = [Label("maker"), Label("jump")]
    head += [Label("left_soon", {"time": bench.time(soon)}), Label("left_late", {"time": bench.time(late)})]
    rows: list[list[Cell]] = [
        [*head, *labels("half_life", "lowest", "trip_0"), Label("trip_late", {"time": bench.time(late)})]
    ]
    for name, event in events.items():
        cells = (event[0], event[soon], event[late], bench.time(half_life(event)), event.min())
        rows.append([Label(name), *map(number, (*cells, trips[name][0], trips_late[name]))])
    return rows


def claim_1(bench: Bench) -> Finding:
    """The reservation price moves with inventory."""
    times = [bench.steps(part) for part in (0.05, 0.5, 0.95)]
    grid: list[list[Cell]] = [
        [Label("maker"), *(Label("shift_at", {"time": bench.time(n)}) for n in times), Label("nearest")]
    ]
    shifts, against, nearest = {}, True, {}
    for name, maker in bench.makers.items():
        visits = maker.chain.path(0, maker.chain.start(0))[:-1]
        bid, ask = quote_shifts(maker.chain)
        both = average(visits[:, 1:-1], (bid + ask)[:, 1:-1] / 2)
        shifts[name] = float(both[bench.middle])
        often = visits[:, 1:-1] > SELDOM
        against &= bool((bid[:, 1:-1][often] < -ROUNDING).all() and (ask[:, 1:-1][often] < -ROUNDING).all())
        nearest[name] = float(np.nanmin(maker.chain.spread[:, 1:-1][often]) / 2)
        grid.append([Label(name), *(number(both[n], 4) for n in times), number(nearest[name])])
    facts = {"against": against, "no_trade_at_centre": min(nearest.values()) > 0}
    values = {"shift": shifts["optimum"], "as_shift": shifts["as"], "glft_shift": shifts["glft"]}
    values |= {"nearest": nearest["optimum"], "as_nearest": nearest["as"]}
    curves = {
        "quotes": {
            name: (m.chain.bid_depth[bench.middle], m.chain.ask_depth[bench.middle]) for name, m in bench.makers.items()
        },
        "inventories": bench.market.inventories,
        "visits": bench.optimum.chain.path(0, bench.optimum.chain.start(0))[bench.middle],
    }
    return Finding(1, Verdict.HOLDS if against else Verdict.FAILS, values, facts, {"shifts": grid}, curves)


def quote_shifts(chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """How far the bid and the ask move, as prices, when the maker buys one more: shape (steps, 2Q+1).

    NaN where the quote is not there before or after.
    """
    bid, ask = np.full((2, *chain.bid_depth.shape), np.nan)
    bid[:, :-2] = chain.bid_depth[:, :-2] - chain.bid_depth[:, 1:-1]
    ask[:, 1:-1] = chain.ask_depth[:, 2:] - chain.ask_depth[:, 1:-1]
    return bid, ask


def reversed_sign(quotes: QuoteTable) -> QuoteTable:
    """The maker that quotes at every inventory what it should at the opposite one: the skew with its sign turned.

    At a limit the opposite inventory has no such quote; the one next to it is used.
    """
    bid, ask = quotes.bid_depth[..., ::-1].copy(), quotes.ask_depth[..., ::-1].copy()
    bid[..., 0], ask[..., -1] = bid[..., 1], ask[..., -2]
    return quote_table(bid, ask)


def unmoved(market: Market, quotes: QuoteTable) -> QuoteTable:
    """The maker that quotes at every inventory what it would when flat."""
    at = market.max_inventory
    sides = (np.broadcast_to(side[..., at, None], side.shape) for side in (quotes.bid_depth, quotes.ask_depth))
    return quote_table(*sides)


def claim_2(bench: Bench) -> Finding:
    """When takers buy, the maker is short and lowers its quotes."""
    right = bench.optimum.quotes
    tables = {"raised": right, "unmoved": unmoved(bench.market, right), "lowered": reversed_sign(right)}
    reasons = {name: _reasons(bench, Maker.of(bench.market, table)) for name, table in tables.items()}
    worth = {name: _right_and_wrong(bench, maker) for name, maker in bench.makers.items()}
    optimum, wrong = worth["optimum"]
    up, flat, down = (reasons[name] for name in tables)
    facts = {
        "raises_when_short": bool(_lean_when_short(bench) > 0),
        "sellers": up["sellers"] > flat["sellers"] > down["sellers"],
        "buyers": up["buyers"] < flat["buyers"] < down["buyers"],
        "paper": down["mark_own"] > 0 > up["mark_own"],
        "hedge_time": up["deeper"] < flat["deeper"] < down["deeper"],
        "costs": wrong.objective < optimum.objective,
    }
    reasons_hold = all(facts[key] for key in ("sellers", "buyers", "hedge_time"))
    if not facts["raises_when_short"]:
        verdict = Verdict.HOLDS
    else:
        verdict = Verdict.OTHERWISE if reasons_hold and facts["costs"] else Verdict.FAILS
    values = _sign_numbers(bench, reasons)
    values |= {"value": optimum.objective, "wrong_value": wrong.objective}
    values |= {"profit": optimum.profit_mean, "wrong_profit": wrong.profit_mean}
    curves = {
        "inventory": {name: reasons[name]["inventory"] for name in tables},
        "quotes": {
            name: (tables[name].bid_depth[bench.middle, 0], tables[name].ask_depth[bench.middle, 0])
            for name in ("raised", "lowered")
        },
        "inventories": bench.market.inventories,
        "dt": bench.market.dt,
    }
    grids = {"reasons": _reason_rows(bench, reasons), "costs": _sign_rows(worth)}
    return Finding(2, verdict, values, facts, grids, curves)


def _right_and_wrong(bench: Bench, maker: Maker) -> tuple[ExactEvaluation, ExactEvaluation]:
    """What a maker is worth, and what it is worth with the sign of its skew turned."""
    right, wrong = (
        evaluate_exactly(bench.market, bench.objective, table) for table in (maker.quotes, reversed_sign(maker.quotes))
    )
    return right, wrong


def _reason_rows(bench: Bench, reasons: dict[str, dict[str, Any]]) -> list[list[Cell]]:
    rows: list[list[Cell]] = [labels("reason", *reasons)]
    window = bench.time(bench.steps(WINDOW))
    for key in ("sellers", "buyers", "mark_own", "mark_true", "time_to_flat", "flat_chance", "deeper"):
        rows.append([Label(key, {"time": window}), *(number(found[key]) for found in reasons.values())])
    return rows


def _sign_rows(worth: dict[str, tuple[ExactEvaluation, ExactEvaluation]]) -> list[list[Cell]]:
    head = ("maker", "value_right", "value_wrong", "profit_right", "profit_wrong", "std_right", "std_wrong")
    rows: list[list[Cell]] = [labels(*head)]
    for name, pair in worth.items():
        figures = [getattr(e, f) for f in ("objective", "profit_mean", "profit_std") for e in pair]
        rows.append([Label(name), *(number(figure, 2) for figure in figures)])
    return rows


def _sign_numbers(bench: Bench, reasons: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What the prose quotes of the reasons, under raised, unmoved and lowered quotes."""
    up, down = reasons["raised"], reasons["lowered"]
    return {
        "units": bench.event,
        "lean": _lean_when_short(bench),
        **{f"{key}_{name}": found[key] for name, found in reasons.items() for key in found if key != "inventory"},
        "loss_own_raised": -up["mark_own"],
        "true_loss_raised": -up["mark_true"],
        "true_loss_lowered": -down["mark_true"],
        "window": bench.time(bench.steps(WINDOW)),
        "start": bench.time(bench.first),
    }


def _lean_when_short(bench: Bench) -> float:
    """How far a maker short of the event's units centres its quotes above the mid, at the trader's first step."""
    chain = bench.optimum.chain
    return float(chain.midpoint[bench.first, chain.at(-bench.event)])


def _reasons(bench: Bench, maker: Maker) -> dict:
    """What a maker's quotes do for each reason that is given to move them, once it is short."""
    chain, first, short = maker.chain, bench.first, -bench.event
    start = chain.start(short)
    window = chain.path(first, start, first + bench.steps(WINDOW) - 1)
    steps = slice(first, first + len(window))
    deeper = _chance_deeper(chain, first, short, 2 * short)
    reached, duration = time_to(chain, first, 0, short)
    profit = evaluate_exactly(bench.market, RiskNeutral(), maker.quotes).value[first, 0]
    moved = chain.midpoint[first, chain.at(short)] - chain.midpoint[first, chain.at(0)]
    path = chain.path(first, start)
    return {
        "sellers": float(np.sum(window * chain.bid_fill[steps])),
        "buyers": float(np.sum(window * chain.ask_fill[steps])),
        "mark_own": float(short * moved),
        "mark_true": float(profit[chain.at(short)] - profit[chain.at(0)]),
        "time_to_flat": bench.time(duration),
        "flat_chance": 100 * reached,
        "deeper": 100 * deeper,
        "inventory": path @ bench.market.inventories,
    }


def _chance_deeper(chain: Chain, first: int, inventory: int, deeper: int) -> float:
    """P(an inventory as short as `deeper` is reached before a flat one and before the end)."""
    q = chain.market.inventories
    chance = (q <= deeper).astype(float)
    for n in reversed(range(first, chain.market.steps)):
        chance = np.where(q <= deeper, 1.0, np.where(q >= 0, 0.0, chain.backward(n, chance)))
    return float(chance[chain.at(inventory)])
