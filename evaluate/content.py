"""What a report says: its prose, and which tables and pictures stand where."""

from __future__ import annotations

import math

from evaluate import describe, recording_report, text
from evaluate.advantage import mean_depth_error
from evaluate.document import Block, Bullets, Heading, Paragraph, Picture, Table
from evaluate.ladder import Ladder
from evaluate.results import Featured, Results
from evaluate.streaming import profit_risk_aversion
from mmenv.market import Market
from mmenv.quotes import QuoteTable

WEIGHTED = (
    " The maker is averse to risk, so a visit counts by the utility still at stake in it: losses after a bad start to "
    "the session weigh more."
)
REGIMES = (
    "By regime, exact: the share of the session spent in it, the depths averaged over the states visited, beside the "
    "best depths in the same states, and the share of the gap that is lost there."
)
BLIND = (
    "Avellaneda–Stoikov, GLFT and the continuous-time optimum see the market of each regime as if it lasted for ever, "
    "without drift, informed takers, fees, ticks and hedges."
)
TOO_FEW = " A dash: a few bad sessions outweigh all others, so that this many sessions allow no honest interval."


def title(results: Results) -> str:
    """The report's title."""
    agents = text.seed_groups(results.ladder)
    return f"How good is {' and '.join(agents)}?" if agents else "How good are the famous formulas?"


def compose(results: Results) -> list[Block]:
    """The report's content."""
    parts = (_headline, _ladder, _recording, _quotes, _losses, _distribution_part, _session, _learning_part, _made)
    return [block for part in parts for block in part(results)]


def _headline(results: Results) -> list[Block]:
    ladder = results.ladder
    groups = text.seed_groups(ladder)
    lines = [f"**{text.headline(ladder, group, standings)}**" for group, standings in groups.items()]
    if not lines:
        known = [s for key in ("as", "linear_skew") if (s := ladder.find(key)) is not None]
        unit = " % of the exact optimum" if results.positive else " short of the exact optimum"
        lines = [f"**{standing.label}: {text.score(ladder, standing, 3)}{unit}.**" for standing in known]
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
            f"possible quotes are known exactly; they are worth {text.number(ladder.solution.optimum, 4)} price units "
            "a session. "
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
    equivalent = (
        f"**Certainty equivalent** is the sure profit that is worth as much as the session's to a maker with risk "
        f"aversion {profit_risk_aversion(ladder.problem.objective):g}."
    )
    agents = [standing.label for standing in ladder.agents()]
    unsure = any(math.isnan(figure.low) for standing in ladder.standings for figure in standing.simulated.values())
    few = TOO_FEW if unsure else ""
    return [
        Heading("The ladder"),
        Bullets([
            "**Value** is what the maker maximises, for one session that starts flat.",
            "**Skill** is 1 − gap / gap of the best straight line (half-spread and skew fitted to this market"
            + (", for each regime): " if ladder.problem.market.regimes > 1 else "): ") +
            "0 is the straight line, 1 the optimum, below 0 is worse than the line.",
            *([] if text.is_cara(ladder) else [equivalent]),
            "**Average spread** is ask depth plus bid depth while both sides are quoted. Values, profits, depths and "
            "spreads are in price units, inventories in units.",
            *([BLIND] if describe.rich(ladder.problem.market) else []),
        ]),
        Table(text.exact_rows(ladder), "Exact: computed over all states, without sampling error.", agents),
        Paragraph(
            f"The same policies played {ladder.episodes:,} sessions of one tape: the same moves of the mid and the "
            f"same takers for all, so that differences between policies are far less noisy than the figures. "
            f"Intervals cover the truth with 95 % probability."
        ),
        Table(text.simulated_rows(ladder), f"Simulated, ± half of the 95 % interval.{few}", agents),
        Table(
            text.paired_rows(ladder),
            f"Simulated difference to {ladder.reference} on the same tape, ± half of the 95 % interval.{few}",
            agents,
        ),
        Table(
            text.split_rows(ladder),
            "Where profit comes from (exact), by how many fills, and the largest fall of wealth on the way. "
            + _holding(ladder.problem.market),
            agents,
        ),
    ]  # fmt: skip


def _recording(results: Results) -> list[Block]:
    return [] if results.replay is None else recording_report.blocks(results.replay)


def _holding(market: Market) -> str:
    """What holding inventory earns on average, in a sentence."""
    drifts = bool(market.by_regime("drift").any())
    if market.informed:
        rest = ", and what the drift of the mid brings." if drifts else "."
        return (
            "Some takers know where the mid goes: after a fill it tends to move against the maker. Inventory profit is "
            f"what that costs{rest}"
        )
    if drifts:
        return "The mid drifts: inventory profit is what holding inventory in that direction earns."
    return (
        "The mid has no drift and takers know nothing of its next move, so holding inventory earns nothing on "
        "average: it only adds risk."
    )


def _quotes(results: Results) -> list[Block]:
    blocks: list[Block] = [Heading("The quotes")]
    for one in results.featured:
        blocks += _subheading(results, one)
        market, visits = results.ladder.problem.market, one.standing.exact.visits[:-1]
        blocks.append(_distance(results, one))
        if market.regimes > 1:
            rows = describe.regime_rows(market, visits, results.losses(one.standing), *_tables(results.ladder, one))
            blocks.append(Table(rows, REGIMES))
        for z, slug in results.regimes(one).items():
            blocks += _quote_pictures(slug, f"Regime {z}. " if market.regimes > 1 else "")
    return blocks


def _distance(results: Results, one: Featured) -> Paragraph:
    """How far the quotes of a policy are from the best ones."""
    ours, best = _tables(results.ladder, one)
    error = mean_depth_error(ours, best, one.standing.exact.visits[:-1])
    hedges = " where both hedge alike" if results.ladder.problem.market.hedges else ""
    return Paragraph(
        f"The depths of {one.name} are {text.number(error, 4)} price units from the best ones on average{hedges}, each "
        f"state counted as often as it comes up (exact)."
    )


def _quote_pictures(slug: str, where: str) -> list[Block]:
    return [
        Picture(
            f"quotes_{slug}",
            f"{where}Depth of both quotes over time and inventory. The policy spends 99 % of its time inside the black "
            "line. The difference is shown for states that come up in at least one session in 10,000.",
        ),
        Picture(
            f"slices_{slug}",
            f"{where}Quotes over inventory, early, midway and shortly before the end. Darker bands are inventories "
            "held more often at that time. Above: both quotes relative to the mid. Below: how far each ask is from the "
            "optimal ask, on a scale that fits the inventories held.",
        ),
    ]


def _subheading(results: Results, one: Featured) -> list[Block]:
    return [Heading(one.name, 3)] if len(results.featured) > 1 else []


def _losses(results: Results) -> list[Block]:
    ladder, market = results.ladder, results.ladder.problem.market
    blocks: list[Block] = [
        Heading("Where the money is lost"),
        Paragraph(
            "Each state's quotes cost what the best quotes would earn beyond them (with optimal play ever after), "
            "times how often the state comes up. These costs add up to the gap exactly, so the maps show all of it."
            + (WEIGHTED if text.is_cara(ladder) else "")
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
                describe.costliest_rows(market, losses, one.standing.exact.visits, *_tables(ladder, one)),
                f"The ten states that cost {one.name} most. Depths and costs in price units.",
            ),
        ]
    return blocks


def _tables(ladder: Ladder, one: Featured) -> tuple[QuoteTable, QuoteTable]:
    return one.standing.grade.quotes, ladder.solution.quotes


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
        f"Versions: {describe.listed(describe.versions())}.",
    ]
    for run in results.runs:
        config = run.policy.config
        command = " ".join(map(str, config.get("command", [])))
        commit = f", commit `{str(config['git_commit'])[:12]}`" if config.get("git_commit") else ""
        trained = f", trained by `{command}`" if command else ""
        seen = config.get("versions") or {}
        made_with = f", with {describe.listed(seen)}" if seen else ""
        facts.append(f"{run.label}: `{run.folder}`, reward `{run.problem.reward}`{trained}{commit}{made_with}.")
    return [
        Heading("How this was made"),
        Bullets(facts),
        Table(describe.market_rows(ladder.problem.market), "The market."),
    ]
