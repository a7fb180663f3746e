"""An agent's card: what it was trained for and how, how good it is exactly, and what it does not know."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from agents.checkpoint import load_tensors
from agents.shipped import locate
from evaluate import describe, text
from evaluate.advantage import mean_depth_error
from evaluate.document import Block, Bullets, Heading, Paragraph, Table, to_markdown
from evaluate.runs import Run, load_runs, recipe
from mmenv.grading import Grade, grade, reference_solution
from mmenv.market import Market

SELDOM = 1e-4
# Options that decide nothing of the agent, and how many words each takes; the seed is put back.
WATCHING = {"-f": 2, "--log-folder": 2, "-P": 1, "--progress": 1, "--no-progress": 1, "--seeds": 2, "--seed": 2}


def compose(names: Sequence[str], title: str | None = None) -> tuple[str, dict[str, Any]]:
    """The card of the first run, and the facts on it that are not in its folder.

    Args:
        names: run folders or shipped agents: the one that the card is about, and other seeds of its recipe.
        title: what the agent is called; its own name by default.

    Returns:
        The card in Markdown, and its date and seeds as JSON values.

    Raises:
        RunError: a run is missing or damaged, or the runs differ in market or objective.
        ValueError: they differ in more than the seed.
    """
    runs = load_runs(names)
    if any(recipe(run) != recipe(runs[0]) for run in runs):
        raise ValueError("a card is about one recipe: give runs that differ in their seeds only")
    grades = [grade(run.problem, run.policy) for run in runs]
    seeds = [{"seed": run.seed, "gap": graded.gap} for run, graded in zip(runs, grades, strict=True)]
    known = _known(runs[0]) if len(runs) == 1 else None
    facts = known or {"date": _date(runs[0]), "seeds": seeds}
    name = title or str(runs[0].policy.name)
    blocks = [block for part in _PARTS for block in part(runs[0], grades[0], facts)] + _use(name)
    return to_markdown(name, blocks, {}), facts


def _known(run: Run) -> dict[str, Any] | None:
    """The facts that came with a published agent; None where there are none, or none that make sense."""
    facts = run.policy.config.get("card")
    try:
        seeds = [{"seed": int(entry["seed"]), "gap": float(entry["gap"])} for entry in facts["seeds"]]
        date = datetime.fromisoformat(facts["date"]).date().isoformat()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    believable = bool(seeds) and all(math.isfinite(entry["gap"]) for entry in seeds)
    return {"date": date, "seeds": seeds} if believable else None


def _date(run: Run) -> str:
    """The day on which the last weights were written."""
    written = (locate(run.folder) / "policy.safetensors").stat().st_mtime
    return datetime.fromtimestamp(written, UTC).date().isoformat()


def _gap(gap: float, optimum: float) -> str:
    """A gap as tables show it: percent of the optimum where that is positive."""
    return f"{100 * gap / optimum:.2g} %" if optimum > 0 else f"{gap:.2g}"


def _headline(run: Run, graded: Grade, facts: dict[str, Any]) -> list[Block]:
    training = run.policy.config.get("training", {})
    algorithm, env = run.policy.config.get("algorithm") or "A network", training.get("env")
    market = f"`{env}`{' with changes' if training.get('env_kwargs') else ''}" if env else "one market"
    if graded.optimum > 0:
        reached = f"reaches **{graded.percent_of_optimum:.4f} % of the exact optimum**"
    else:
        reached = f"falls **{graded.gap:.2g} short of the exact optimum**"
    return [Paragraph(f"{algorithm}, trained to make the market of {market}; it {reached}.")]


def _grade(run: Run, graded: Grade, facts: dict[str, Any]) -> list[Block]:
    best = reference_solution(run.problem.market, run.problem.objective).quotes
    exact = graded.evaluation
    error = mean_depth_error(graded.quotes, best, exact.visits[:-1])
    straight = graded.optimum - graded.linear_skew
    alike = ", where both hedge alike" if run.problem.market.hedges else ""
    gaps = [entry["gap"] for entry in facts["seeds"]]
    rows = [
        ["exact, for one session that starts flat", "value"],
        ["optimum [price]", f"{graded.optimum:.6g}"],
        ["this agent [price]", f"{graded.objective:.6g}"],
        ["its gap", _gap(graded.gap, graded.optimum)],
        ["gap of the best straight line", _gap(straight, graded.optimum)],
        ["its skill: 0 is the straight line, 1 the optimum", text.skill(graded.skill)],
        [f"mean distance of its depths from the best, as often as states are visited{alike} [price]", f"{error:.2g}"],
        ["profit, mean and standard deviation [price]", f"{exact.profit_mean:.2f} and {exact.profit_std:.2f}"],
    ]
    seeds = ", ".join(f"{entry['seed']}: {_gap(entry['gap'], graded.optimum)}" for entry in facts["seeds"])
    notes = [f"Gaps of the seeds of this recipe: {seeds}. This agent is the first of them."]
    if len(gaps) > 1:
        bound = _gap(2 * max(gaps), graded.optimum)
        notes.append(
            f"Trained again, with another seed or on another machine, expect a gap of at most **{bound}**, "
            "twice the largest of these."
        )
    return [
        Heading("How good"),
        Table(rows, "Computed over all states of the market, without simulation or sampling error."),
        Paragraph(" ".join(notes)),
    ]


def _market(run: Run, graded: Grade, facts: dict[str, Any]) -> list[Block]:
    market = run.problem.market
    rows = describe.unusual_rows(market)
    what = "All others are those of `mmenv.Market()`." if len(rows) > 1 else ""
    if len(rows) == 1:
        rows, what = describe.market_rows(market), "The defaults of `mmenv.Market()`."
    return [
        Heading("What for"),
        Paragraph(f"{describe.objective_sentence(run.problem.objective)} Times are in the units of `horizon`."),
        Table(rows, f"The market. {what}".strip()),
    ]


def _training(run: Run, graded: Grade, facts: dict[str, Any]) -> list[Block]:
    config, training = run.policy.config, run.policy.config.get("training", {})
    done, complete = _transitions(run)
    share = 100 * training.get("average_last", 0.0)
    weights = f"the average over the last {share:g} % of the run" if share and complete else "the last ones"
    lines = [
        f"{done}, on the `{run.problem.reward}` reward, seed {run.seed}; finished {facts['date']}.",
        f"Training never sees the optimum or its quotes. The weights are {weights}, not chosen by their grade.",
    ]
    seen = config.get("versions") or {}
    commit = f" Commit `{str(config['git_commit'])[:12]}`." if config.get("git_commit") else ""
    if seen:
        lines.append(f"Versions: {describe.listed(seen)}.{commit}")
    blocks: list[Block] = [Heading("How it was trained"), Bullets(lines)]
    if config.get("command"):
        blocks.append(Paragraph(f"```sh\n{command(config)}\n```"))
    return blocks


def _transitions(run: Run) -> tuple[str, bool]:
    """How many transitions the weights have seen, in words, and whether these are all that were planned."""
    seen = load_tensors(locate(run.folder), "policy")[1].get("transitions")
    planned = run.policy.config.get("training", {}).get("n_timesteps", 0)
    if not isinstance(seen, int):
        return "Transitions not recorded", True
    if seen < planned:
        return f"{seen:,} transitions of {planned:,}: training was cut short", False
    return f"{seen:,} transitions", True


def command(config: dict[str, Any]) -> str:
    """The command that trains this very agent, in any folder."""
    words, kept = [str(word) for word in config["command"]], []
    while words:
        count = WATCHING.get(words[0].split("=")[0], 0)
        if not count:
            kept.append(words[0])
        words = words[1 if "=" in words[0] else max(1, count) :]
    return shlex.join([*kept, "--seed", str(config.get("seed", 0))])


def _limits(run: Run, graded: Grade, facts: dict[str, Any]) -> list[Block]:
    market = run.problem.market
    seen, sees_regime = _inventories_seen(market, graded.evaluation.visits), run.problem.codec.regime_entries.size > 0
    rare = (
        f"At every step, inventories beyond {seen} units come up in fewer than one of its sessions in "
        f"{1 / SELDOM:,.0f}: there it has hardly been trained."
        if seen < market.max_inventory
        else "It comes to hold every inventory that it may."
    )
    return [
        Heading("What it does not know"),
        Bullets([
            "Any other market: it quotes only in the one above and refuses the rest. Other takers, volatility, "
            "horizon, steps, fees, ticks or limits take another training.",
            f"More than {market.max_inventory} units, long or short, and depths outside "
            f"[{market.min_depth:g}, {market.max_depth:g}]. {rare}",
            f"Anything but its {'inventory, the time and the regime' if sees_regime else 'inventory and the time'}: "
            "no order book, no history, no queue, no competitors, no delay.",
            "Reality. It was trained and graded in simulation, where fills obey the model's law exactly. It is no "
            "trading advice.",
        ]),
    ]  # fmt: skip


def _use(name: str) -> list[Block]:
    code = f'import agents, mmenv\n\npolicy = agents.load("{name}")\nprint(mmenv.grade(policy.problem, policy))'
    return [Heading("Use"), Paragraph(f"```python\n{code}\n```")]


def _inventories_seen(market: Market, visits: np.ndarray) -> int:
    """The least m such that more than m units are held with probability below SELDOM at every step."""
    size = np.abs(market.inventories)
    beyond = [visits[:, :, size > m].sum(axis=(1, 2)).max(initial=0.0) for m in range(market.max_inventory + 1)]
    return int(np.argmax(np.array(beyond) < SELDOM))


_PARTS = (_headline, _grade, _market, _training, _limits)
