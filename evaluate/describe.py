"""Problems and policies in words, for readers who have not seen the code."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

import numpy as np

from evaluate.advantage import AdvantageMap
from evaluate.text import number
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable

PACKAGES = ("mmenv", "numpy", "scipy", "gymnasium", "matplotlib", "torch", "stable-baselines3")
# Parameters that every market has; the others are for what the formulas of the theory know nothing of.
PLAIN = (
    "initial_mid", "volatility", "horizon", "steps", "arrival_rate", "depth_decay", "max_inventory", "min_depth",
    "max_depth", "fill_law",
)  # fmt: skip


# What each parameter means, with its unit.
MEANING = {
    "initial_mid": "mid price at the start [price]",
    "volatility": "volatility of the mid [price per root of time]",
    "horizon": "length of a session [time]",
    "steps": "steps in a session",
    "arrival_rate": "market orders per side and unit of time that reach the mid",
    "depth_decay": "how fast fills get rarer with depth [1 / price]",
    "max_inventory": "largest inventory, long or short [units]",
    "min_depth": "smallest depth that may be quoted [price]",
    "max_depth": "largest depth that may be quoted [price]",
    "fill_law": "how depth turns into the chance of a fill within a step",
    "drift": "drift of the mid [price per time]",
    "bid_arrival_rate": "market orders that sell to the bid, where they are not as many",
    "ask_arrival_rate": "market orders that buy from the ask, where they are not as many",
    "bid_depth_decay": "how fast fills of the bid get rarer with depth [1 / price]",
    "ask_depth_decay": "how fast fills of the ask get rarer with depth [1 / price]",
    "informed_share": "share of the takers beyond the mid who know where it goes",
    "informed_jump": "how far the mid moves with an informed taker [price]",
    "transition_rates": "rates of change from regime to regime [1 / time]",
    "transition_matrix": "probabilities of one step from regime to regime",
    "initial_regime": "the regime at the start",
    "fee": "fee for each unit filled; a rebate is negative [price]",
    "fee_rate": "fee for each unit filled, in parts of its value at `initial_mid`; a rebate is negative",
    "tick": "depths are whole multiples of it [price]",
    "fill_curve": "how fast fills get rarer with depth, where not exponentially",
    "hedge_cost": "cost of a unit traded at the mid before quoting [price]",
    "hedge_fixed_cost": "cost of each such trade [price]",
}


def market_rows(market: Market) -> list[list[str]]:
    """The parameters of a market with what they mean."""
    return _parameters(market, [*PLAIN, *_beyond_plain(market)])


def unusual_rows(market: Market) -> list[list[str]]:
    """The parameters in which a market differs from the default one, with what they mean."""
    usual = Market().to_dict()
    return _parameters(market, [name for name, value in market.to_dict().items() if value != usual[name]])


def _parameters(market: Market, names: Sequence[str]) -> list[list[str]]:
    rows = [["parameter", "value"]]
    for name, value in market.to_dict().items():
        if name in names:
            rows.append([f"`{name}`: {MEANING[name]}" if name in MEANING else f"`{name}`", f"{value}"])
    return rows


def rich(market: Market) -> bool:
    """Whether the market has what the formulas of the theory know nothing of."""
    return bool(_beyond_plain(market))


def _beyond_plain(market: Market) -> list[str]:
    """The parameters in use that a plain market leaves as they are."""
    plain = Market().to_dict()
    return [name for name, value in market.to_dict().items() if name not in PLAIN and value != plain[name]]


def regime_rows(
    market: Market, visits: np.ndarray, losses: AdvantageMap, ours: QuoteTable, best: QuoteTable
) -> list[list[str]]:
    """What a policy does in each regime: time spent, mean depths beside the best ones, share of the gap.

    Args:
        market: the market.
        visits: probability of each state under the policy, shape (steps, regimes, 2Q+1).
        losses: its advantage map.
        ours: its quotes.
        best: the optimal quotes.
    """
    rows = [["regime", "time [%]", "bid", "best bid", "ask", "best ask", "% of the gap"]]
    bid_quoted, ask_quoted = ours.quoted
    for z in range(market.regimes):
        cells = [f"{100 * visits[:, z].sum() / market.steps:.1f}"]
        for side, quoted in (("bid_depth", bid_quoted), ("ask_depth", ask_quoted)):
            for table in (ours, best):
                depth = getattr(table, side)[:, z]
                weight = np.where(quoted[:, z] & np.isfinite(depth), visits[:, z], 0.0)
                total = float(np.sum(weight * np.where(weight > 0, depth, 0.0)))
                cells.append(number(total / weight.sum() if weight.any() else float("nan")))
        lost = 100 * losses.cost[:, z].sum() / losses.gap if losses.gap > 0 else float("nan")
        rows.append([str(z), *cells, number(lost, 1)])
    return rows


def objective_sentence(objective: Objective) -> str:
    """What is maximised, in one sentence."""
    values = objective.to_dict()
    terminal = values.get("terminal_weight", 0.0)
    end = f", less {terminal:g}·q² for the inventory left at the end" if terminal else ""
    match values["name"]:
        case "exponential_penalty":
            weight = "" if values["weight"] == 1 else f"{values['weight']:g}·"
            charge = f"{weight}(exp({values['rate']:g}·|q|) − 1)"
            return (
                f"The maker maximises expected profit less {charge} per unit of time while it holds inventory q{end}."
            )
        case "quadratic_penalty":
            charge = f"{values['weight']:g}·q²"
            return (
                f"The maker maximises expected profit less {charge} per unit of time while it holds inventory q{end}."
            )
        case "exponential_utility":
            gamma = f"{values['risk_aversion']:g}"
            return (
                f"The maker maximises the expected exponential utility of profit at risk aversion γ = {gamma}; values "
                f"are certainty equivalents, the sure profit it would swap the session for."
            )
        case _:
            return "The maker maximises expected profit."


def versions() -> dict[str, str]:
    """The versions at work, of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def listed(versions: Mapping[str, str | None]) -> str:
    """Versions in a line; those that are not known are left out."""
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def costliest_rows(
    market: Market, losses: AdvantageMap, visits: np.ndarray, ours: QuoteTable, best: QuoteTable, count: int = 10
) -> list[list[str]]:
    """The states that cost a policy most: when, where, how often, quotes against the best, share of the gap."""
    rows = [["time", "inventory", "visits [%]", "bid", "best bid", "ask", "best ask", "cost a visit", "% of the gap"]]
    if market.regimes > 1:
        rows[0].insert(1, "regime")
    if market.hedges:
        rows[0][-2:-2] = ["hedge", "best hedge"]
    for at in losses.costliest(count):
        n, z, i = at
        row = [
            f"{n * market.dt:.3f}",
            f"{i - market.max_inventory:d}",
            f"{100 * visits[at]:.3g}",
            *_quotes(ours, best, at),
            f"{losses.advantage[at]:.2e}",
            f"{100 * losses.cost[at] / losses.gap:.2f}",
        ]
        if market.regimes > 1:
            row.insert(1, str(z))
        if market.hedges:
            row[-2:-2] = [f"{table.held[at] - i:d}" for table in (ours, best)]
        rows.append(row)
    return rows


def _quotes(ours: QuoteTable, best: QuoteTable, at: tuple[int, int, int]) -> Sequence[str]:
    return [number(float(side[at])) for side in (ours.bid_depth, best.bid_depth, ours.ask_depth, best.ask_depth)]
