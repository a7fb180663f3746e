"""Which pictures belong to which claim."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from evaluate.article.figures_costs import plot_asks, plot_costs, plot_hedge, plot_thin, plot_venue
from evaluate.article.figures_quotes import plot_event, plot_punished, plot_sign, plot_skew, plot_widening
from evaluate.article.figures_toxic import plot_spells, plot_split, plot_toxic
from evaluate.article.finding import Finding
from evaluate.article.words import Words

# For each claim its pictures by name, in the order of the page.
PICTURES: dict[int, dict[str, Callable[[Finding, Words], Figure]]] = {
    0: {"event": plot_event, "split": plot_split},
    1: {"skew": plot_skew},
    2: {"sign": plot_sign},
    3: {"widening": plot_widening},
    4: {"asks": plot_asks, "costs": plot_costs},
    5: {"thin": plot_thin},
    6: {"toxic": plot_toxic, "spells": plot_spells},
    7: {"hedge": plot_hedge, "venue": plot_venue},
    8: {"punished": plot_punished},
}
