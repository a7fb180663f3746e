"""A calibration in words and numbers: the table that is printed, and the same as plain JSON values."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from mmenv.data.calibration import Calibration
from mmenv.data.chain import NEEDED, Chain
from mmenv.data.goodness import SIGNIFICANT
from mmenv.data.likelihood import Interval
from mmenv.data.sides import Side

REGIMES = ("quiet", "busy")


def text(calibration: Calibration) -> str:
    """The calibration as a table with units, and what to make of it."""
    return "\n".join([_table(calibration), "", *verdicts(calibration)])


def _table(calibration: Calibration) -> str:
    rows = [("", "estimate", "95 % if independent", "95 % if clustered", "unit")]
    for name in ("bid", "ask", "both"):
        side = calibration.sides[name]
        rows.append(_row(f"A, {name}", side.arrival_rate, "orders/s"))
        rows.append(_row(f"k, {name}", side.depth_decay, "1/price"))
    rows += [
        _row(f"A, orders one by one, {name}", calibration.sides[name].order_rate, "orders/s") for name in ("bid", "ask")
    ]
    rows += [
        _row(f"k, orders one by one, {name}", calibration.sides[name].order_decay, "1/price") for name in ("bid", "ask")
    ]
    rows += _chain_rows(calibration.chain)
    lag = calibration.signature.lag[calibration.signature.chosen]
    rows.append(_row(f"volatility, lag {lag:g} s", calibration.signature.best, "price/sqrt(s)"))
    rows.append(_row("drift", calibration.drift, "price/s"))
    for name, markouts in (("", calibration.markouts), (", beyond the floor", calibration.deep_markouts)):
        rows += [_row(f"markout after {one.horizon:g} s{name}", one.mean, "price") for one in markouts]
    if calibration.informed is not None:
        rows.append(_row("informed share", calibration.informed.share, "probability"))
        rows.append(_row("informed jump", calibration.informed.jump, "price"))
        rows.append(_row("volatility without jumps", calibration.informed.volatility, "price/sqrt(s)"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _chain_rows(chain: Chain) -> list[tuple[str, str, str, str, str]]:
    """The two regimes; nothing where one does as well."""
    if not chain.better:
        return []
    rows = []
    for name in chain.arrival_rate:
        for word, rate in zip(REGIMES, chain.arrival_rate[name], strict=True):
            rows.append(_row(f"A, {name}, when {word}", rate, "orders/s"))
        rows.append(_row(f"k, {name}, two regimes", chain.depth_decay[name], "1/price"))
    return rows + [_row(f"stays {word} for", stay, "s") for word, stay in zip(REGIMES, chain.stay, strict=True)]


def _row(name: str, estimate: Interval, unit: str) -> tuple[str, str, str, str, str]:
    pairs = ((estimate.low, estimate.high), (estimate.robust_low, estimate.robust_high))
    ends = ["" if math.isnan(low) else f"{low:.4g} to {high:.4g}" for low, high in pairs]
    return name, f"{estimate.value:.4g}", ends[0], ends[1], unit


def verdicts(calibration: Calibration) -> list[str]:
    """What the numbers mean, a sentence each, the most important first."""
    both = calibration.sides["both"]
    sentences = [_fit_verdict(both, calibration), _touch_verdict(calibration), _sides_verdict(calibration)]
    sentences += [_chain_verdict(calibration)]
    sentences += _selection_verdict(calibration)
    fano = calibration.clustering.fano
    if fano and fano[-1][1] > 1.5:
        sentences.append(
            f"Orders cluster: their number in windows of {fano[-1][0]:g} s varies {fano[-1][1]:.1f} times as much as a "
            f"Poisson process would; prefer the wider intervals."
        )
    sign = calibration.clustering.sign
    if sign and sign[0][1] > calibration.clustering.sign_bound:
        sentences.append(
            f"Sides come in runs: the autocorrelation of the sides of successive orders is {sign[0][1]:.2f}."
        )
    if calibration.signature.chosen:
        lag = calibration.signature.lag[calibration.signature.chosen]
        sentences.append(
            f"The mid is noisy at short lags: volatility is {calibration.signature.volatility[0].value:.4g} at "
            f"{calibration.signature.lag[0]:g} s and {calibration.signature.best.value:.4g} at {lag:g} s, "
            f"which is used."
        )
    if calibration.guessed_quotes:
        sentences.append("There is no file of quotes: the mid is guessed from the last trades on each side.")
    return [sentence for sentence in sentences if sentence]


def _fit_verdict(side: Side, calibration: Calibration) -> str:
    found = side.goodness
    test = f"p = {found.p_value:.2g}" if found.p_value >= 1e-4 else "p < 0.0001"
    beyond = f"beyond the floor {calibration.floor:g}"
    if found.fits:
        return (
            f"The exponential fill curve fits {beyond}: it misses the fill probability of a step by at most "
            f"{found.miss:.3f} ({found.relative_miss:.0%} of what it is at the floor; {test})."
        )
    best = side.best_shape
    better = side.fits["exponential"].aic - side.fits[best].aic
    alternative = f" The {best} has an AIC smaller by {better:,.0f}." if best != "exponential" else ""
    return (
        f"The exponential fill curve does NOT fit {beyond}: at depth {found.miss_at:.4g} it misses the fill "
        f"probability of a step by {found.miss:.3f} "
        f"({found.relative_miss:.0%} of what it is at the floor; {test}), so A and k "
        f"summarise the recording but do not describe it.{alternative}"
    )


def _touch_verdict(calibration: Calibration) -> str:
    if calibration.touch < 0.1:
        return ""
    return (
        f"{calibration.touch:.0%} of the market orders went no further than the floor: they fill only who stands at "
        f"the best quote and in time, which a replay without queues cannot say."
    )


def _sides_verdict(calibration: Calibration) -> str:
    differ = calibration.sides_differ < SIGNIFICANT
    if not differ and not calibration.apart:
        return ""
    holds = "has an A and a k for each" if calibration.apart else "takes both together"
    p = f"p = {calibration.sides_differ:.2g}"
    return f"The two sides {'differ' if differ else 'do not differ significantly'} ({p}); the market {holds}."


def _chain_verdict(calibration: Calibration) -> str:
    chain = calibration.chain
    holds = "has two regimes" if calibration.two_regimes else "has one regime"
    gain = f"ln likelihood higher by {chain.gain:,.1f}, {NEEDED:g} would be significant"
    if chain.better:
        more = "" if calibration.two_regimes else " (--regimes auto makes it two, which the maker then sees)"
        return (
            f"Takers come in busy and quiet spells: two regimes fit better than one ({gain}); busy, there are "
            f"{chain.busier:.3g} times as many for {chain.stay[1].value:.3g} s on average, after "
            f"{chain.stay[0].value:.3g} s of quiet. The market {holds}{more}."
        )
    if calibration.two_regimes:
        return f"Two regimes do not fit significantly better than one ({gain}), but the market {holds} as asked for."
    return ""


def _selection_verdict(calibration: Calibration) -> list[str]:
    sentences = []
    if calibration.deep_markouts:
        worst = max(calibration.deep_markouts, key=lambda markout: markout.mean.value)
        margin = 1 / calibration.sides["both"].depth_decay.value
        if worst.mean.low > 0.1 * margin:
            sentences.append(
                f"Takers are informed: {worst.horizon:g} s after an order beyond the floor the mid has gone "
                f"{worst.mean.value:.4g} its way, against a margin 1/k of {margin:.4g}. A market without informed "
                f"takers overstates profit."
            )
    return sentences


def values(calibration: Calibration) -> dict[str, Any]:
    """The calibration as plain JSON values (numbers that are not finite become null)."""
    sides = {
        name: {
            "arrival_rate": asdict(side.arrival_rate),
            "depth_decay": asdict(side.depth_decay),
            "order_rate": asdict(side.order_rate),
            "order_decay": asdict(side.order_decay),
            "goodness": {**asdict(side.goodness), "fits": side.goodness.fits},
            "aic": {shape: fitted.aic for shape, fitted in side.fits.items()},
        }
        for name, side in calibration.sides.items()
    }
    return _finite(
        {
            "units": {"time": "seconds", "price": "as in the recording", "size": "one market order"},
            "seconds": calibration.seconds,
            "trades": calibration.trades,
            "market_orders": calibration.orders,
            "dt": calibration.steps.dt,
            "tick": calibration.steps.tick,
            "horizon": calibration.horizon,
            "floor": calibration.floor,
            "fill_law": calibration.law,
            "sides": sides,
            "volatility": {
                "chosen_lag": calibration.signature.lag[calibration.signature.chosen],
                "by_lag": [
                    {"lag": lag, **asdict(estimate)}
                    for lag, estimate in zip(calibration.signature.lag, calibration.signature.volatility, strict=True)
                ],
            },
            "drift": asdict(calibration.drift),
            "markouts": [asdict(markout) for markout in calibration.markouts],
            "markouts_beyond_floor": [asdict(markout) for markout in calibration.deep_markouts],
            "clustering": asdict(calibration.clustering),
            "sides_differ": {"p_value": calibration.sides_differ, "apart": calibration.apart},
            "regimes": _chain_values(calibration),
            "informed": None if calibration.informed is None else asdict(calibration.informed),
            "verdicts": verdicts(calibration),
        }
    )


def _chain_values(calibration: Calibration) -> dict[str, Any]:
    chain = calibration.chain
    return {
        "in_market": 2 if calibration.two_regimes else 1,
        "log_likelihood_gain": chain.gain,
        "gain_needed": NEEDED,
        "arrival_rate": {
            name: dict(zip(REGIMES, map(asdict, pair), strict=True)) for name, pair in chain.arrival_rate.items()
        },
        "depth_decay": {name: asdict(decay) for name, decay in chain.depth_decay.items()},
        "stay": dict(zip(REGIMES, map(asdict, chain.stay), strict=True)),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
