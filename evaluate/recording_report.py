"""What a report says about a recording: tables, a verdict in words, pictures. Pure functions of a replay."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from evaluate.document import Block, Bullets, Heading, Paragraph, Picture, Table
from evaluate.metrics import Estimate
from evaluate.recording import MODEL_SESSIONS, Compared, Outcome, Replay
from evaluate.style import BLACK, BLUE, GREY, RED, light_grid, new_figure
from evaluate.text import Rows, number, with_interval

SHOWN = {
    "bid_fills": "bid fills",
    "ask_fills": "ask fills",
    "spread_earned": "spread earned",
    "inventory_profit": "inventory profit",
    "profit": "profit",
    "final_inventory_std": "final inventory std",
}
NOTHING_MOVES = (
    "A replay moves nothing: our orders change neither quotes nor takers. A quote fills when a trade goes beyond its "
    "price, so queues are left out: a maker at the front of the queue would also fill at the price (more fills, mostly "
    "good ones), a large one would fill only in part. For queues use a backtest with order books, such as hftbacktest."
)


def rows(replay: Replay) -> Rows:
    """Every policy on the recording and in the model: fills, where profit comes from, inventory; per session."""
    markout = f"markout_{replay.horizons[0]}"
    head = ["policy", "", *SHOWN.values(), f"markout, {_seconds(replay, replay.horizons[0])}"]
    table = [head]
    for outcome in replay.outcomes:
        chosen = [outcome.figures[name] for name in (*SHOWN, markout)]
        table.append([outcome.entrant.label, "recorded", *(with_interval(figure.recorded) for figure in chosen)])
        table.append(["", "model", *(number(figure.model) for figure in chosen)])
    return table


def markout_rows(replay: Replay) -> Rows:
    """Markouts of every policy's fills at all horizons, on the recording and in the model."""
    table = [["policy", *(f"after {_seconds(replay, horizon)}" for horizon in replay.horizons), "depth of fills"]]
    for outcome in replay.outcomes:
        cells = [with_interval(outcome.figures[f"markout_{horizon}"].recorded) for horizon in replay.horizons]
        fills = outcome.figures["bid_fills"].recorded.value + outcome.figures["ask_fills"].recorded.value
        earned = outcome.figures["spread_earned"].recorded.value
        table.append([outcome.entrant.label, *cells, number(earned / fills) if fills else "–"])
    return table


def _seconds(replay: Replay, horizon: int) -> str:
    return f"{horizon * replay.recorded.dt:g} s"


def verdict(outcome: Outcome) -> str:
    """Where the model breaks for a policy, and by how much, in a sentence or two."""
    figures = outcome.figures
    profit = figures["profit"]
    said = f"**{outcome.entrant.label}** makes {_told(profit.recorded)} a session on the recording; "
    said += f"the model says {number(profit.model)}."
    parts = {name: figures[name] for name in ("spread_earned", "inventory_profit")}
    broken = [name for name, figure in parts.items() if figure.breaks]
    if not profit.breaks:
        return f"{said} The interval holds the model's figure: no break that this recording could show."
    worst = max(parts, key=lambda name: abs(parts[name].difference.value))
    what = {"spread_earned": "the spread it earns", "inventory_profit": "what its inventory does after fills"}[worst]
    difference = parts[worst].difference
    return f"{said} The difference of {_told(profit.difference)} lies mostly in {what} ({_told(difference)})" + (
        ", while fills and spread earned are as predicted." if broken == ["inventory_profit"] else "."
    )


def _told(figure: Estimate) -> str:
    return f"{number(figure.value)} ({number(figure.low)} to {number(figure.high)})"


def featured(replay: Replay) -> list[Outcome]:
    """The agents and the optimum; without agents the best line and the optimum."""
    agents = [outcome for outcome in replay.outcomes if outcome.entrant.kind == "agent"]
    lines = [outcome for outcome in replay.outcomes if outcome.entrant.key == "linear_skew"]
    return [*(agents or lines), *[outcome for outcome in replay.outcomes if outcome.entrant.kind == "optimum"]]


def blocks(replay: Replay) -> list[Block]:
    """The section of a report."""
    recorded = replay.recorded
    minutes = recorded.tape.paths * recorded.tape.steps * recorded.dt / 60
    source = f" ({recorded.source})" if recorded.source else ""
    agents = [outcome.entrant.label for outcome in replay.outcomes if outcome.entrant.kind == "agent"]
    return [
        Heading("On the recording"),
        Paragraph(
            f"The same policies on {recorded.tape.paths} recorded sessions{source}, {minutes:.1f} minutes in all, "
            f"beside what the market that was calibrated predicts for them ({MODEL_SESSIONS:,} simulated sessions)."
        ),
        Bullets([verdict(outcome) for outcome in featured(replay)]),
        Picture(
            "recording",
            "Per session, dots with 95 % intervals are the recording, broad bars where the model puts 95 of 100 "
            "recordings of this length.",
        ),
        Picture(
            "recording_wealth",
            "Profit along the recording, sessions one after the other, each starting flat. The band is where the model "
            "ends each session in 95 of 100 simulated recordings.",
        ),
        Table(
            rows(replay),
            "Per session: recorded, ± half of the 95 % interval of a block bootstrap over consecutive sessions, and "
            "the model.",
            agents,
        ),
        Table(
            markout_rows(replay),
            "How far the mid goes against a fill, per fill: ± half of the 95 % interval. The model without informed "
            "takers says 0. A fill pays where the depth it was made at exceeds this.",
            agents,
        ),
        Paragraph(f"{NOTHING_MOVES} Fill rule of this tape: `{recorded.rule}`."),
    ]


def plot_figures(replay: Replay) -> Figure:
    """Fills, spread earned, inventory profit and profit of every policy: recorded against the model."""
    names = ["fills", "spread_earned", "inventory_profit", "profit"]
    figure = new_figure(10.5, 1.2 + 0.32 * len(replay.outcomes))
    axes = figure.subplots(1, len(names), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        for y, outcome in enumerate(replay.outcomes[::-1]):
            found = outcome.figures["bid_fills" if name == "fills" else name]
            _pair(axis, y, found, RED if outcome.entrant.kind == "agent" else BLACK)
        axis.set_title({"fills": "bid fills"}.get(name, SHOWN.get(name, name)))
        axis.set_xlabel("a session" if name == "fills" else "price units a session")
        axis.axvline(0, color=GREY, linewidth=0.8)
        light_grid(axis, "x")
    axes[0].set_yticks(range(len(replay.outcomes)), [outcome.entrant.label for outcome in replay.outcomes[::-1]])
    return figure


def _pair(axis: object, y: int, found: Compared, colour: str) -> None:
    axis.plot([found.model_low, found.model_high], [y, y], color=BLUE, linewidth=7, alpha=0.3, solid_capstyle="butt")  # type: ignore[attr-defined]
    axis.plot([found.recorded.low, found.recorded.high], [y, y], color=colour, linewidth=1.4)  # type: ignore[attr-defined]
    axis.plot(found.recorded.value, y, "o", color=colour, markersize=4.5)  # type: ignore[attr-defined]


def plot_wealth(replay: Replay) -> Figure:
    """Profit along the recording of the featured policies, with the model's band."""
    chosen = featured(replay)[:3]
    figure = new_figure(3.6 * len(chosen) + 0.4, 3.2)
    axes = np.atleast_1d(figure.subplots(1, len(chosen), sharey=True))
    tape, dt = replay.recorded.tape, replay.recorded.dt
    time = dt * np.arange(1, tape.steps * tape.paths + 1)
    ends = dt * tape.steps * np.arange(1, tape.paths + 1)
    for axis, outcome in zip(axes, chosen, strict=True):
        low, middle, high = outcome.model_wealth
        axis.fill_between(np.r_[0, ends], np.r_[0, low], np.r_[0, high], color=BLUE, alpha=0.2, label="model, 95 %")
        axis.plot(np.r_[0, ends], np.r_[0, middle], color=BLUE, linewidth=1, label="model, median")
        colour = RED if outcome.entrant.kind == "agent" else BLACK
        axis.plot(np.r_[0, time], np.r_[0, outcome.wealth], color=colour, linewidth=1.2, label="recorded")
        axis.set_title(outcome.entrant.label)
        axis.set_xlabel("seconds of the recording")
        light_grid(axis)
    axes[0].set_ylabel("profit [price units]")
    axes[0].legend(loc="upper left")
    return figure
