"""The article's claims: limits, signs, verdicts, simulated traders against exact costs, and the two pages."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import GueantLehalleFernandezTapia, LinearSkew
from evaluate.__main__ import main
from evaluate.article import page, played, quoting, slicing, terminal, toxic, trader
from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain
from evaluate.article.command import find_all
from evaluate.article.figures import PICTURES
from evaluate.article.finding import Label, Verdict
from evaluate.article.words import LANGUAGES, fill, minus, words
from mmenv import Market, Tape
from mmenv.markout import markout
from tests.statistics import Z_BOUND, Sums

# Exact sums of at most some thousand terms of size one, in double precision.
EXACT = 1e-12


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The suite's market with fewer steps and takers, but the same chance of a fill in a step."""
    return Bench.of(Market(steps=60, arrival_rate=42.0), episodes=2000)


def test_without_other_flow_slicing_saves_nothing(bench):
    market = bench.market
    chain = slicing.without_flow(Chain.of(market, GueantLehalleFernandezTapia(0.1).tabulate(market)))
    sweep = trader.price_schedule(chain, 0, 0, [(0, 10)]).per_unit
    even = trader.price_schedule(chain, 0, 0, trader.even_slices(0, 10, 10, 3)).per_unit
    assert even == pytest.approx(sweep, abs=EXACT)


def test_longer_pauses_bring_the_ask_back_to_where_it_was():
    market = Market(steps=800, horizon=4.0)
    chain = Chain.of(market, GueantLehalleFernandezTapia(0.1).tabulate(market))
    excess = [slicing.asks_of_slices(chain, 0, 2, pause)[1][1] for pause in (1, 10, 100, 700)]
    assert excess == sorted(excess, reverse=True)
    assert 0 < excess[-1] < 1e-3 * excess[0]


def test_the_maker_leans_against_a_purchase_and_the_reversed_one_with_it(bench):
    right = bench.optimum
    wrong = Maker.of(bench.market, quoting.reversed_sign(right.quotes))
    up, down = (quoting.event_study(maker.chain, bench.first, 3) for maker in (right, wrong))
    assert up[0] > 0 > down[0]
    line = LinearSkew(0.7, 0.05).tabulate(bench.market)
    turned = quoting.reversed_sign(line)
    expected = LinearSkew(0.7, -0.05).tabulate(bench.market)
    np.testing.assert_allclose(turned.bid_depth[..., 1:-1], expected.bid_depth[..., 1:-1], atol=EXACT)
    np.testing.assert_allclose(turned.ask_depth[..., 1:-1], expected.ask_depth[..., 1:-1], atol=EXACT)


def test_verdicts_follow_the_numbers(bench):
    assert [claim(bench).verdict for claim in (quoting.claim_0, quoting.claim_1, quoting.claim_2)] == [
        Verdict.OTHERWISE, Verdict.HOLDS, Verdict.OTHERWISE,
    ]  # fmt: skip
    # Makers with the sign that the article gives them: then quotes do fall after a purchase, as it says.
    makers = {name: Maker.of(bench.market, quoting.reversed_sign(m.quotes)) for name, m in bench.makers.items()}
    turned = replace(bench, makers=makers)
    assert [claim(turned).verdict for claim in (quoting.claim_0, quoting.claim_1, quoting.claim_2)] == [
        Verdict.HOLDS, Verdict.FAILS, Verdict.HOLDS,
    ]  # fmt: skip


def test_what_nets_a_sweep_adds_up(bench):
    net = slicing.netting(bench.optimum.chain, bench.first, bench.last, 10)
    assert sum(net.values()) == pytest.approx(10, abs=1e-9)
    assert min(net.values()) > 0


def test_plans_get_better_the_more_they_may_do(bench):
    costs = slicing.price_all(bench.optimum.chain, bench.first, bench.last, 8)
    assert costs.best_selling <= costs.best + EXACT
    for name in slicing.SCHEDULES[:-2]:
        assert costs.best < getattr(costs, name)
    assert costs.even < costs.sweep


def test_simulated_traders_pay_the_exact_costs(bench):
    chain, first, last, units = bench.optimum.chain, bench.first, bench.last, 6
    slices, best = slicing.evenly(first, last, units), trader.best_plan(chain, first, last, units)
    cases = [
        (played.fixed(slices), trader.price_schedule(chain, first, 0, slices).per_unit),
        (played.at_random(first, last, units), trader.price_random_times(chain, first, last, 0, units)[0]),
        (played.planned(chain, best), best.cost(chain.at(0), units) / units),
    ]
    tape = Tape.draw(bench.market, 4096, seed=11)
    for start, exact in cases:
        for sample in played.play(chain, tape, first, last, units, start(np.random.default_rng(5), tape.paths)):
            sums = Sums(exact)
            sums.add(sample)
            assert sums.z(exact) <= Z_BOUND


def test_the_mid_does_not_care_who_bought_unless_the_buyer_knew(bench):
    for share in (0.0, 0.4):
        market = replace(bench.market, informed_share=share, informed_jump=1.0)
        quotes = Maker.optimal(market, bench.objective).quotes
        exact = markout(market, quotes, [1, 5]).ask
        found = played.markouts(market, quotes, [1, 5], 4096, seed=3)
        for figure, expected in zip(found, exact, strict=True):
            # Half the interval is 1.96 standard errors.
            assert abs(figure.value - expected) <= Z_BOUND / 1.96 * figure.half_width
            assert (expected > 2 * figure.half_width) == (share > 0)


def test_informed_takers_do_not_change_what_the_ignorant_expect_to_pay(bench):
    market = replace(bench.market, informed_share=0.4, informed_jump=1.0)
    chain = Maker.optimal(market, bench.objective).chain
    first, units = bench.first, 6
    slices = slicing.evenly(first, bench.last, units)
    exact = trader.price_schedule(chain, first, 0, slices).per_unit
    tape = Tape.draw(market, 4096, seed=12)
    wants = played.fixed(slices)(np.random.default_rng(5), tape.paths)
    for sample in played.play(chain, tape, first, bench.last, units, wants):
        sums = Sums(exact)
        sums.add(sample)
        assert sums.z(exact) <= Z_BOUND


def test_toxic_flow_verdicts_follow_the_numbers(bench, findings, monkeypatch):
    assert findings[6].verdict == Verdict.HOLDS
    assert toxic.verdict({"widens": True, "uninformed_pay": True, "skews": False}) == Verdict.OTHERWISE
    assert toxic.verdict({"widens": True, "uninformed_pay": False, "skews": True}) == Verdict.FAILS
    # News that is worth nothing: nobody need be afraid of those who have it.
    monkeypatch.setattr(toxic, "JUMPS", (0.0, 1e-12))
    harmless = toxic.claim_6(bench)
    assert harmless.verdict == Verdict.FAILS
    for fact in ("widens", "skews", "uninformed_pay", "informed_gain", "maker_loses", "risk_skews"):
        assert not harmless.facts[fact]


def leaves(tree: object, at: str = "") -> dict[str, str]:
    """The texts of a translation by where they stand."""
    if isinstance(tree, str):
        return {at: tree}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return {key: text for name, branch in items for key, text in leaves(branch, f"{at}/{name}").items()}


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_languages_say_the_same_with_the_same_numbers():
    texts = {language: leaves(words(language).data) for language in LANGUAGES}
    english, *others = texts.values()
    for other in others:
        assert other.keys() == english.keys()
        for key, text in other.items():
            assert text or key == "/joiner", key
            assert fields_of(text) == fields_of(english[key]), key
            if key.endswith("/fact"):
                assert text == english[key]


def test_minus_signs_are_true_and_zeros_have_none():
    assert fill("{a:.2f}, {b:.4f}; {c:.1f} at 3e-11 and 1-2", {"a": -0.301, "b": -1e-9, "c": -0.04}) == (
        "−0.30, 0.0000; 0.0 at 3e-11 and 1-2"
    )
    assert minus("-0.05 ± 0.1, -0.") == "−0.05 ± 0.1, 0."


@pytest.fixture(scope="module")
def findings(bench) -> list:
    return find_all(bench)


def test_every_claim_has_its_words_pictures_and_one_of_the_verdicts(findings):
    assert [finding.claim for finding in findings] == list(range(9))
    for language in LANGUAGES:
        said = words(language)
        for finding in findings:
            claim = said.claim(finding)
            assert set(claim["pictures"]) == set(PICTURES[finding.claim])
            assert set(claim["captions"]) == set(finding.grids)
            asked = {text for key, text in leaves(claim).items() if key.endswith("/fact")}
            assert asked <= set(finding.facts)
            assert all(np.isfinite(value) for value in finding.values.values())
            for grid in finding.grids.values():
                assert len({len(row) for row in grid}) == 1
                assert all(isinstance(cell, Label) or not re.search("nan|inf", cell) for row in grid for cell in row)


def test_the_chinese_readme_tells_the_same_verdicts(findings):
    readme = (Path(__file__).parents[1] / "README.zh-TW.md").read_text(encoding="utf-8")
    said = words("zh-TW")
    for finding in findings:
        title = said["claim_heading"].format(number=finding.claim, title=said.claim(finding)["title"])
        assert f"| {title} | {said.verdict(finding)} |" in readme


def test_the_pages_hold_the_same_numbers_and_need_nothing_else(bench, findings, tmp_path):
    pages = page.write(bench, findings, tmp_path / "article", "python -m evaluate article")
    bodies = [path.read_text(encoding="utf-8") for path in pages]
    for body in bodies:
        assert not re.search(r"(src|href)=\"(?!data:|#)", body)
        assert body.count("<img") == sum(map(len, PICTURES.values()))
        assert "{" not in re.sub(r"<style>.*?</style>", "", body, flags=re.S)
    cells = [re.findall(r"<td>([-−+.\d]+)</td>", body) for body in bodies]
    assert cells[0] == cells[1]
    assert len(cells[0]) > 200
    assert 'lang="zh-Hant-TW"' in bodies[1]
    assert re.search("[\u4e00-\u9fff]", bodies[1])
    assert not re.search("[\u4e00-\u9fff]", re.sub("〈.*?〉", "", bodies[0]))


def test_the_terminal_table_keeps_to_its_columns_and_loses_nothing():
    rows = [["claim", "說法"], ["a word and another", "庫存惡化時、做市商還會加寬價差「12.5 %」。"]]
    text = terminal.wrapped_table(rows, (8, 12))
    assert all(terminal.width_of(line) <= 22 for line in text.splitlines())
    right = "".join(
        "".join(line[i] for i in range(len(line)) if terminal.width_of(line[:i]) >= 10)
        for line in text.splitlines()[2:]
    )
    assert re.sub(r"\s", "", right) == re.sub(r"\s", "", rows[1][1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--episodes", "1"], "--episodes must be an integer >= 2, got 1"),
        (["--seed", "-1"], "--seed must be an integer >= 0, got -1"),
        (["--out", "{folder}"], "exists"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, message, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not a report", encoding="utf-8")
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    assert main(["article", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
