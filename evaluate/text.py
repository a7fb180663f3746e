"""Tables as text: for the terminal, Markdown and CSV. Pure functions from a ladder to rows of cells."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence

from evaluate.ladder import Ladder, Standing
from evaluate.metrics import Estimate, SeedRange, over_seeds

WIDTH = 100
Rows = list[list[str]]


def number(value: float, digits: int = 3) -> str:
    """A number with some digits after the point; fewer where it is large; no minus sign on a zero."""
    if math.isnan(value):
        return "–"
    if math.isinf(value) or abs(value) >= 1e7:
        return f"{value:.3g}"
    text = f"{value:.{max(0, digits - max(0, len(str(int(abs(value)))) - 2))}f}"
    return text.lstrip("-") if float(text) == 0 else text


def skill(value: float) -> str:
    """A skill: three decimals near its scale of 0 to 1, fewer far below it."""
    if math.isnan(value):
        return "–"
    if value < -99999:
        return f"{value:.0e}"
    return f"{value:.{3 if value > -1 else 2 if value > -10 else 1 if value > -100 else 0}f}"


def with_interval(figure: Estimate, joint: str = " ± ", most_digits: int = 6) -> str:
    """An estimate with half its interval, to one digit of the latter, or two where that digit is a 1."""
    half = figure.half_width
    if not math.isfinite(half) or not math.isfinite(figure.value):
        return "–"
    digits = min(6, most_digits)
    if half > 0:
        power = math.floor(math.log10(half))
        digits = min(most_digits, max(0, (half < 2 * 10.0**power) - power))
    value, width = f"{figure.value:.{digits}f}", f"{half:.{digits}f}"
    if float(width) == 0:
        width = "0" if half == 0 else f"<{10.0**-digits:.{digits}f}"
    return f"{value.lstrip('-') if float(value) == 0 else value}{joint}{width}"


def score_header(ladder: Ladder) -> str:
    """What the score column shows: percent of the optimum where that is positive, else the gap."""
    return "% of optimum" if ladder.solution.optimum > 0 else "gap"


def score(ladder: Ladder, standing: Standing, digits: int = 4) -> str:
    """The score column's cell."""
    if ladder.solution.optimum > 0:
        return f"{standing.grade.percent_of_optimum:.{digits}f}"
    return f"{standing.grade.gap:.5g}"


def summary_rows(ladder: Ladder) -> Rows:
    """The compact table: its two header rows, then one row for each policy, worst first."""
    top, unit = score_header(ladder).rsplit(" ", 1) if " " in score_header(ladder) else ("", score_header(ladder))
    rows = [
        ["", "", top, "", "profit", "profit", "q_N", "", "simulated"],
        ["policy", "value", unit, "skill", "mean", "std", "std", "spread", "difference"],
    ]
    for standing in ladder.standings:
        exact = standing.exact
        reference = standing.label == ladder.reference
        rows.append([
            standing.label,
            number(standing.grade.objective),
            score(ladder, standing, 3),
            skill(standing.grade.skill),
            number(exact.profit_mean, 2),
            number(exact.profit_std, 2),
            number(exact.final_inventory_std, 2),
            number(exact.mean_spread),
            "" if reference else with_interval(standing.versus["value"], "±", 3),
        ])  # fmt: skip
    return rows


def console_table(rows: Rows, headers: int = 2, width: int = WIDTH) -> str:
    """Rows as aligned text no wider than `width` where cutting the first column allows it."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    spare = width - sum(widths[1:]) - 2 * (len(widths) - 1)
    widths[0] = max(12, min(widths[0], spare))
    lines = []
    for row in rows:
        first = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(headers, "-" * max(map(len, lines)))
    return "\n".join(lines)


def markdown_table(rows: Rows) -> str:
    """Rows as a Markdown table; the first row is the header, numbers are aligned right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def exact_rows(ladder: Ladder) -> Rows:
    """Everything that is known without sampling error."""
    head = f"policy,value,{score_header(ladder)},skill,profit mean,profit std,certainty equivalent"
    head += ",final inventory mean,final inventory std,average spread"
    rows = [head.split(",")]
    for standing in ladder.standings:
        exact = standing.exact
        graded = [number(standing.grade.objective, 4), score(ladder, standing), skill(standing.grade.skill)]
        profit = (exact.profit_mean, exact.profit_std, standing.certainty_equivalent)
        rest = (exact.final_inventory_mean, exact.final_inventory_std, exact.mean_spread)
        rows.append([standing.label, *graded, *map(number, (*profit, *rest))])
    return _without(rows, "certainty equivalent") if is_cara(ladder) else rows


def is_cara(ladder: Ladder) -> bool:
    """Whether the objective is an exponential utility, so that the certainty equivalent is the value itself."""
    return ladder.problem.objective.risk_aversion > 0


def _without(rows: Rows, *columns: str) -> Rows:
    """The rows without the columns of those headers."""
    kept = [i for i, name in enumerate(rows[0]) if name not in columns]
    return [[row[i] for i in kept] for row in rows]


# What the tables of simulated figures show, and what they call it.
SIMULATED = {
    "value": "value",
    "profit_mean": "profit mean",
    "profit_std": "profit std",
    "certainty_equivalent": "certainty equivalent",
    "final_inventory_mean": "final inventory mean",
    "final_inventory_std": "final inventory std",
    "mean_spread": "average spread",
}


def simulated_rows(ladder: Ladder) -> Rows:
    """Every simulated figure with its 95 % interval."""
    rows = [["policy", *SIMULATED.values()]]
    for standing in ladder.standings:
        rows.append([standing.label, *(with_interval(standing.simulated[name]) for name in SIMULATED)])
    return _without(rows, "certainty equivalent") if is_cara(ladder) else rows


def paired_rows(ladder: Ladder) -> Rows:
    """The paired difference of every simulated figure to the reference's, on the same tape."""
    rows = [["policy", *SIMULATED.values()]]
    for standing in ladder.standings:
        if standing.label != ladder.reference:
            rows.append([standing.label, *(with_interval(standing.versus[name]) for name in SIMULATED)])
    return _without(rows, "certainty equivalent") if is_cara(ladder) else rows


def split_rows(ladder: Ladder) -> Rows:
    """Where profit comes from, and what the penalty takes from it, exactly; fills and drawdown simulated."""
    rows = [["policy", "spread earned", "inventory profit", "profit", "penalty", "profit less penalty"]]
    rows[0] += ["fills (simulated)", "mean drawdown (simulated)"]
    for standing in ladder.standings:
        split, mean = standing.split, standing.exact.profit_mean
        figures = (split.spread_earned, split.inventory_profit, mean, split.penalty, mean - split.penalty)
        seen = [with_interval(standing.simulated[name]) for name in ("fills", "drawdown")]
        rows.append([standing.label, *map(number, figures), *seen])
    charged = any(standing.split.penalty != 0 for standing in ladder.standings)
    return rows if charged else _without(rows, "penalty", "profit less penalty")


def csv_text(ladder: Ladder) -> str:
    """Everything about every policy as CSV, in full precision; names end in _exact, _low, _high, _versus..."""
    buffer = io.StringIO()
    rows = [_flat(ladder, standing) for standing in ladder.standings]
    writer = csv.DictWriter(buffer, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _flat(ladder: Ladder, standing: Standing) -> dict[str, object]:
    grade, exact = standing.grade, standing.exact
    row: dict[str, object] = {
        "policy": standing.label,
        "kind": standing.entrant.kind,
        "value_exact": grade.objective,
        "optimum_exact": grade.optimum,
        "gap_exact": grade.gap,
        "percent_of_optimum_exact": grade.percent_of_optimum,
        "skill_exact": grade.skill,
        "profit_mean_exact": exact.profit_mean,
        "profit_std_exact": exact.profit_std,
        "certainty_equivalent_exact": standing.certainty_equivalent,
        "final_inventory_mean_exact": exact.final_inventory_mean,
        "final_inventory_std_exact": exact.final_inventory_std,
        "mean_spread_exact": exact.mean_spread,
        "spread_earned_exact": standing.split.spread_earned,
        "inventory_profit_exact": standing.split.inventory_profit,
        "penalty_exact": standing.split.penalty,
        "episodes": ladder.episodes,
        "seed": ladder.seed,
    }
    for name, figure in standing.simulated.items():
        row |= {f"{name}_simulated": figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        difference = standing.versus[name]
        row |= {
            f"{name}_versus": difference.value,
            f"{name}_versus_low": difference.low,
            f"{name}_versus_high": difference.high,
        }
    return row


def seed_groups(ladder: Ladder) -> dict[str, list[Standing]]:
    """The agents by recipe, each with its seeds."""
    groups: dict[str, list[Standing]] = {}
    for standing in ladder.agents():
        groups.setdefault(standing.entrant.key, []).append(standing)
    return groups


def headline(ladder: Ladder, group: str, standings: Sequence[Standing]) -> str:
    """One sentence on an agent: percent of optimum and skill, with the range over its seeds."""
    skills = over_seeds([standing.grade.skill for standing in standings])
    if ladder.solution.optimum > 0:
        shares = over_seeds([standing.grade.percent_of_optimum for standing in standings])
        reached = f"reaches {_range(shares, '{:.3f}'.format)} % of the exact optimum"
    else:
        gaps = over_seeds([standing.grade.gap for standing in standings])
        reached = f"falls {_range(gaps, '{:.4g}'.format)} short of the exact optimum"
    seeds = f" over {len(standings)} training seeds" if len(standings) > 1 else ""
    if math.isnan(skills.low):
        return f"{group} {reached}{seeds}; a straight line is optimal here, so there is no skill to tell."
    straight = "beats" if skills.low > 0 else "does not beat" if skills.high <= 0 else "does not always beat"
    return f"{group} {reached}{seeds}; skill {_range(skills, skill)}: it {straight} the best straight line."


def _range(values: SeedRange, form: Callable[[float], str]) -> str:
    low, high = form(values.low), form(values.high)
    return low if low == high else f"{low} to {high}"
