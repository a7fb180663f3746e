"""The report: which pictures and tables it holds, what it says about them, and its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from matplotlib.figure import Figure

from evaluate import describe, folder, plots, quote_plots, style, text
from evaluate.advantage import AdvantageMap, advantage_map
from evaluate.document import Block, Bullets, Heading, Paragraph, Picture, Table, to_html, to_markdown
from evaluate.ladder import Ladder, Standing
from evaluate.runs import Run
from evaluate.streaming import EVALUATION_STREAMS, profit_risk_aversion
from mmenv.quotes import QuoteTable
from mmenv.simulation import Paths, simulate
from mmenv.tape import Tape

FORMATS = ("html", "md", "csv", "png", "svg")
Progress = Callable[[Sequence[str], str], Iterable[str]]


@dataclass(frozen=True)
class Featured:
    """A policy that gets pictures of its own: an agent's middle seed, or a formula where there is no agent.

    Attributes:
        standing: its results.
        name: what titles call it.
        slug: what its files are called by.
    """

    standing: Standing
    name: str
    slug: str


@dataclass(frozen=True)
class Results:
    """All that a report is made of.

    Attributes:
        ladder: the standings.
        runs: the trained agents, as they were loaded.
        command: the command that makes this report.
    """

    ladder: Ladder
    runs: Sequence[Run] = ()
    command: str = ""
    _maps: dict[str, AdvantageMap] = field(default_factory=dict, repr=False)

    @cached_property
    def featured(self) -> list[Featured]:
        """Each agent's middle seed; without agents the famous formula, or else the best baseline."""
        found = []
        for number, (group, standings) in enumerate(text.seed_groups(self.ladder).items(), start=1):
            middle = sorted(standings, key=lambda standing: standing.grade.gap)[(len(standings) - 1) // 2]
            slug = "agent" if number == 1 else f"agent{number}"
            found.append(Featured(middle, middle.label if len(standings) > 1 else group, slug))
        baselines = [s for s in self.ladder.standings if s.entrant.kind == "baseline"]
        if not found and baselines:
            chosen = self.ladder.find("as") or baselines[-1]
            found.append(Featured(chosen, chosen.label, "formula"))
        return found

    def losses(self, standing: Standing) -> AdvantageMap:
        """The advantage map of a policy, remembered."""
        if standing.label not in self._maps:
            self._maps[standing.label] = advantage_map(self.ladder.solution, standing.grade.quotes)
        return self._maps[standing.label]

    def session(self, standing: Standing) -> tuple[Paths, Paths]:
        """One session of a policy and of the optimum, on the first column of the evaluation's tape."""
        market = self.ladder.problem.market
        tape = Tape.draw(market, 1, EVALUATION_STREAMS + self.ladder.seed)
        return simulate(market, standing.grade.quotes, tape), simulate(market, self.ladder.solution.quotes, tape)

    @property
    def positive(self) -> bool:
        """Whether gaps can be told in percent of the optimum."""
        return self.ladder.solution.optimum > 0


def pictures(results: Results) -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by name."""
    ladder, market = results.ladder, results.ladder.problem.market
    drawn: dict[str, Callable[[], Figure]] = {}
    if any(standing.entrant.kind != "optimum" for standing in ladder.standings):
        drawn["ladder"] = partial(plots.plot_ladder, ladder)
    for one in results.featured:
        visits = one.standing.exact.visits[:-1]
        quotes, optimal = one.standing.grade.quotes, ladder.solution.quotes
        lines, losses = _compared(ladder, one), results.losses(one.standing)
        drawn[f"quotes_{one.slug}"] = partial(quote_plots.plot_quotes, market, quotes, optimal, visits, one.name)
        drawn[f"slices_{one.slug}"] = partial(quote_plots.plot_slices, market, lines, optimal, visits)
        if losses.gap > 0:
            drawn[f"losses_{one.slug}"] = partial(quote_plots.plot_advantage, market, losses, one.name)
        session = results.session(one.standing)
        drawn[f"session_{one.slug}"] = partial(plots.plot_path, *session, market.horizon, one.name)
    drawn["distributions"] = partial(_distributions, results)
    if any(run.progress is not None for run in results.runs):
        drawn["learning"] = partial(_learning, results)
    return drawn


def _compared(ladder: Ladder, one: Featured) -> dict[str, tuple[str, QuoteTable]]:
    """The featured policy and the lines that its slices are compared to."""
    lines = {one.name: ("agent", one.standing.grade.quotes)}
    for key in ("as", "glft", "linear_skew"):
        standing = ladder.find(key)
        if standing is not None and standing is not one.standing:
            lines[standing.label] = (key, standing.grade.quotes)
    return lines


def _distributions(results: Results) -> Figure:
    ladder, featured = results.ladder, [one.standing for one in results.featured]
    found = [ladder.find(key) for key in ("fixed", "as", "linear_skew")]
    shown = [s for s in found if s is not None and s not in featured]
    shown += [*featured, *[s for s in ladder.standings if s.entrant.kind == "optimum"]]
    agents = list(text.seed_groups(ladder))
    return plots.plot_distributions(ladder, shown, [plots.colour_of(standing, agents) for standing in shown])


def _learning(results: Results) -> Figure:
    curves: dict[str, list] = {}
    for run in results.runs:
        if run.progress is not None:
            gap = run.progress.gap_percent if results.positive else run.progress.gap
            curves.setdefault(run.group, []).append((run.progress.transitions, gap))
    found = [results.ladder.find(key) for key in ("as", "linear_skew")]
    marks = {s.label: plots.gap_of(results.ladder, s) for s in found if s is not None}
    return plots.plot_learning(curves, marks, plots.gap_unit(results.ladder))


def title(results: Results) -> str:
    """The report's title."""
    agents = text.seed_groups(results.ladder)
    return f"How good is {' and '.join(agents)}?" if agents else "How good are the famous formulas?"


def compose(results: Results) -> list[Block]:
    """The report's content."""
    parts = (_headline, _ladder, _quotes, _losses, _distribution_part, _session, _learning_part, _made)
    return [block for part in parts for block in part(results)]


def _headline(results: Results) -> list[Block]:
    ladder = results.ladder
    groups = text.seed_groups(ladder)
    lines = [f"**{text.headline(ladder, group, standings)}**" for group, standings in groups.items()]
    if not lines:
        known = [s for key in ("as", "linear_skew") if (s := ladder.find(key)) is not None]
        lines = [f"**{text.headline(ladder, standing.label, [standing])}**" for standing in known]
    blocks: list[Block] = [Paragraph(line) for line in lines]
    for group, standings in groups.items():
        forms = sorted({run.problem.reward for run in results.runs if run.group == group})
        seeds = ", ".join(str(run.seed) for run in results.runs if run.group == group)
        if forms:
            many = "seeds" if len(standings) > 1 else "seed"
            blocks.append(Paragraph(f"{group} was trained on the `{' / '.join(forms)}` reward, {many} {seeds}."))
    blocks += [
        Paragraph(
            "A market maker quotes a price at which it buys (bid) and one at which it sells (ask), so many price units "
            "away from the mid price (the depths). Takers fill the one or the other, its inventory moves, and the mid "
            f"moves on its own. {describe.objective_sentence(ladder.problem.objective)} For this market the best "
            f"possible quotes are known exactly; they are worth {text.number(ladder.solution.optimum, 4)} a session. "
            "Every policy here is measured against them."
        ),
        Picture(
            "ladder",
            "What each policy is short of the exact optimum; further left is better, each grid line is ten times "
            "closer. The dashed line is the best straight line, the zero of skill. Exact values, no sampling error; "
            "several dots on a row are training seeds.",
        ),
    ]
    return blocks


def _ladder(results: Results) -> list[Block]:
    ladder = results.ladder
    gamma = profit_risk_aversion(ladder.problem.objective)
    agents = [standing.label for standing in ladder.agents()]
    return [
        Heading("The ladder"),
        Bullets([
            "**Value** is what the maker maximises, for one session that starts flat.",
            "**Skill** is 1 − gap / gap of the best straight line (half-spread and skew fitted to this market): "
            "0 is the straight line, 1 the optimum, below 0 is worse than the line.",
            f"**Certainty equivalent** is the sure profit that is worth as much as the session's to a maker with "
            f"risk aversion {gamma:g}.",
            "**Average spread** is ask depth plus bid depth while both sides are quoted.",
        ]),
        Table(text.exact_rows(ladder), "Exact: computed over all states, without sampling error.", agents),
        Paragraph(
            f"The same policies played {ladder.episodes:,} sessions of one tape: the same moves of the mid and the "
            f"same takers for all, so that differences between policies are far less noisy than the figures. "
            f"Intervals cover the truth with 95 % probability."
        ),
        Table(text.simulated_rows(ladder), "Simulated, ± half of the 95 % interval.", agents),
        Table(
            text.paired_rows(ladder),
            f"Simulated difference to {ladder.reference} on the same tape, ± half of the 95 % interval.",
            agents,
        ),
        Table(
            text.split_rows(ladder),
            "Where profit comes from (exact). The mid has no drift and takers know nothing of its next move, so "
            "holding inventory earns nothing on average: it only adds risk, and the penalty.",
            agents,
        ),
    ]  # fmt: skip


def _quotes(results: Results) -> list[Block]:
    blocks: list[Block] = [Heading("The quotes")]
    for one in results.featured:
        blocks += [
            *_subheading(results, one),
            Picture(
                f"quotes_{one.slug}",
                "Depth of both quotes over time and inventory. The policy spends 99 % of its time inside the black "
                "line. The difference is shown for states that come up in at least one session in 10,000.",
            ),
            Picture(
                f"slices_{one.slug}",
                "Quotes over inventory, early, midway and shortly before the end. Darker bands are inventories held "
                "more often at that time. Above: both quotes relative to the mid. Below: how far each ask is from the "
                "optimal ask, on a scale that fits the inventories held.",
            ),
        ]
    return blocks


def _subheading(results: Results, one: Featured) -> list[Block]:
    return [Heading(one.name, 3)] if len(results.featured) > 1 else []


def _losses(results: Results) -> list[Block]:
    ladder, market = results.ladder, results.ladder.problem.market
    blocks: list[Block] = [
        Heading("Where the money is lost"),
        Paragraph(
            "Each state's quotes cost what the best quotes would earn beyond them (with optimal play ever after), "
            "times how often the state comes up. These costs add up to the gap exactly, so the maps show all of it."
        ),
    ]
    for one in results.featured:
        losses = results.losses(one.standing)
        if losses.gap <= 0:
            continue
        gap = f"{losses.gap:.4g} price units a session"
        gap += f", {one.standing.grade.gap_percent:.3g} % of the optimum" if results.positive else ""
        blocks += [
            *_subheading(results, one),
            Picture(f"losses_{one.slug}", f"Each state's share of the gap of {one.name}, which is {gap} (exact)."),
            Table(
                describe.costliest_rows(market, losses, one.standing.grade.quotes, ladder.solution.quotes),
                f"The ten states that cost {one.name} most. Depths and costs in price units.",
            ),
        ]
    return blocks


def _distribution_part(results: Results) -> list[Block]:
    return [
        Heading("Distributions"),
        Picture(
            "distributions",
            f"Profit and drawdown (the largest fall of wealth from its peak within a session) over "
            f"{results.ladder.episodes:,} simulated sessions; final inventory exactly.",
        ),
    ]


def _session(results: Results) -> list[Block]:
    blocks: list[Block] = [Heading("One session")]
    for one in results.featured:
        caption = "The first session of the tape. Triangles are fills: pointing up we buy, pointing down we sell."
        blocks += [*_subheading(results, one), Picture(f"session_{one.slug}", caption)]
    return blocks


def _learning_part(results: Results) -> list[Block]:
    if not any(run.progress is not None for run in results.runs):
        return []
    return [
        Heading("Learning"),
        Picture(
            "learning",
            "The exact gap of the deterministic policy while it trained. Training never sees it, and the last policy "
            "is the one that is graded.",
        ),
    ]


def _made(results: Results) -> list[Block]:
    ladder = results.ladder
    facts = [f"Made by `{results.command}`."] if results.command else []
    facts += [
        f"Simulated figures: {ladder.episodes:,} sessions, evaluation seed {ladder.seed}. The evaluation's random "
        f"streams are keyed by 2⁶⁴ + seed, training's by numbers below 2⁶⁴, so no agent is graded on a session that "
        f"it was trained on.",
        "All baselines are clipped to the depths that the agents may quote. AS and GLFT without a risk aversion of "
        "their own use γ = 0.1; where a row says best, its number was fitted to the exact objective.",
        f"Versions: {describe.versions()}.",
    ]
    for run in results.runs:
        config = run.policy.config
        command = " ".join(map(str, config.get("command", [])))
        commit = f", commit `{str(config['git_commit'])[:12]}`" if config.get("git_commit") else ""
        trained = f", trained by `{command}`" if command else ""
        facts.append(f"{run.label}: `{run.folder}`, reward `{run.problem.reward}`{trained}{commit}.")
    return [
        Heading("How this was made"),
        Bullets(facts),
        Table(describe.market_rows(ladder.problem.market), "The market."),
    ]


def write(results: Results, out: Path, formats: Sequence[str], progress: Progress) -> list[Path]:
    """Write the report's files, all or none.

    Args:
        results: what to report.
        out: the folder; see `folder.choose`.
        formats: among FORMATS.
        progress: wraps the names of the pictures as they are drawn.

    Returns:
        The paths of all files.
    """
    drawn = pictures(results)
    suffixes = [suffix for suffix in ("png", "svg") if suffix in formats]
    inline: dict[str, bytes] = {}
    blocks = compose(results)
    with folder.publish(out) as new, style.styled():
        for name in progress(list(drawn), "pictures"):
            figure = drawn[name]()
            if "html" in formats or "svg" in formats:
                inline[name] = style.rendered(figure, "svg")
            for suffix in suffixes:
                data = inline[name] if suffix == "svg" else style.rendered(figure, suffix)
                (new / "figures").mkdir(exist_ok=True)
                (new / "figures" / f"{name}.{suffix}").write_bytes(data)
        texts = {}
        if "html" in formats:
            texts["report.html"] = to_html(title(results), blocks, inline)
        if "md" in formats:
            links = {name: f"figures/{name}.{suffixes[0]}" for name in drawn} if suffixes else {}
            texts["report.md"] = to_markdown(title(results), blocks, links)
        if "csv" in formats:
            texts["ladder.csv"] = text.csv_text(results.ladder)
        for name, content in texts.items():
            (new / name).write_text(content, encoding="utf-8", newline="\n")
        folder.mark(new, _about(results))
    return sorted(path for path in out.rglob("*") if path.is_file())


def _about(results: Results) -> dict:
    ladder = results.ladder
    return {
        "report": "ladder",
        "problem": ladder.problem.to_dict(),
        "optimum": ladder.solution.optimum,
        "objectives": {standing.label: standing.grade.objective for standing in ladder.standings},
        "episodes": ladder.episodes,
        "seed": ladder.seed,
        "runs": [str(run.folder) for run in results.runs],
        "command": results.command,
    }
