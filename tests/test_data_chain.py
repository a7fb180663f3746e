"""Busy and quiet regimes, and sides that differ: found again in simulated recordings, and not where there are none."""

import itertools
import json
import math

import gymnasium
import numpy as np
import pytest

import mmenv
from mmenv import Market, Tape
from mmenv.__main__ import main
from mmenv.data import calibrate, record
from mmenv.data.chain import Chain, _log_product, _transition, fit_chain
from mmenv.data.curves import Exponential
from mmenv.data.likelihood import Fit, fit, log_likelihoods, sample
from mmenv.data.sides import difference
from mmenv.data.steps import Steps, cut
from tests import recordings

TICK = 0.05
QUIET, BUSY, DECAY, STAYS = 60.0, 360.0, 1.5, (0.5, 1 / 6)
RATES = [[-2.0, 2.0], [6.0, -6.0]]
SWITCHING = Market(
    fill_law="poisson",
    initial_mid=1000.0,
    arrival_rate=[QUIET, BUSY],
    depth_decay=DECAY,
    transition_rates=RATES,
    horizon=20.0,
    steps=4000,
)
# 400 intervals of 95 % cover between 92 and 98 of 100 times with probability 0.99.
REPLICATES, COVERAGE = 400, (0.92, 0.98)


def one_curve(steps: Steps) -> dict[str, Fit]:
    both = np.stack([steps.bid_reach, steps.ask_reach], axis=1).ravel()
    return {"both": fit(sample(both, TICK, TICK, "poisson", np.repeat(steps.on_tick, 2)), Exponential())}


def recorded(market: Market, seed: int) -> Steps:
    return cut(*record(market, Tape.draw(market, 1, seed), TICK, floor=0.0), market.dt, TICK)


def chain_of(market: Market, seed: int) -> Chain:
    steps = recorded(market, seed)
    return fit_chain(steps, one_curve(steps))


def estimates(chain: Chain) -> list:
    return [*chain.arrival_rate["both"], chain.depth_decay["both"], *chain.stay]


def test_the_likelihood_is_the_sum_over_all_paths_of_regimes():
    rng = np.random.default_rng(1)
    emissions, restarts = np.log(rng.random((2, 7))), np.array([0, 4])
    shares, transition = _transition(0.3, 0.8)
    np.testing.assert_allclose(shares @ transition, shares, rtol=1e-14)
    total = 0.0
    for path in itertools.product((0, 1), repeat=7):
        chance = 1.0
        for n, z in enumerate(path):
            chance *= (shares[z] if n in restarts else transition[path[n - 1], z]) * math.exp(emissions[z, n])
        total += chance
    assert _log_product(shares, transition, emissions, restarts) == pytest.approx(math.log(total), rel=1e-13)


def test_the_step_of_the_chain_is_that_of_the_market():
    market = Market(arrival_rate=[1.0, 2.0], transition_rates=RATES)
    up, down = RATES[0][1] * market.dt, RATES[1][0] * market.dt
    np.testing.assert_allclose(_transition(up, down)[1], market.transition, rtol=1e-12)


def test_the_top_is_where_baum_and_welch_stand_still():
    """Expectation-maximisation, written out as a loop, does not move the chain from where the climb ended."""
    steps = recorded(SWITCHING, 2)
    curves = one_curve(steps)
    chain = fit_chain(steps, curves)
    data, decay = curves["both"].data, chain.depth_decay["both"].value
    emission = np.array(
        [
            np.exp(log_likelihoods(data, Exponential(), np.log([rate.value * steps.dt, decay])))
            for rate in chain.arrival_rate["both"]
        ]
    )[:, data.cell].reshape(2, -1, 2).prod(axis=2)  # fmt: skip
    leave = [steps.dt / stay.value for stay in chain.stay]
    shares, transition = _transition(*leave)
    forward, backward = [shares * emission[:, 0]], [np.ones(2)]
    for now in emission.T[1:]:
        ahead = (forward[-1] / forward[-1].sum()) @ transition * now
        forward.append(ahead)
    for now in emission.T[:0:-1]:
        behind = transition @ (now * backward[-1])
        backward.append(behind / behind.sum())
    pairs = np.zeros((2, 2))
    for alpha, now, beta in zip(forward[:-1], emission.T[1:], backward[-2::-1], strict=True):
        joint = alpha[:, None] * transition * now * beta
        pairs += joint / joint.sum()
    again = pairs / pairs.sum(axis=1, keepdims=True)
    # 1e-4 of ln likelihood from the top; an error bar of a transition probability is about a tenth of it here.
    np.testing.assert_allclose(again[[0, 1], [1, 0]], transition[[0, 1], [1, 0]], rtol=0.01)


def test_two_regimes_are_found_again():
    truth = (QUIET, BUSY, DECAY, *STAYS)
    chain = chain_of(SWITCHING, 3)
    assert chain.better
    assert chain.commoner == 0
    for found, value in zip(estimates(chain), truth, strict=True):
        error = math.log(found.high / found.low) / (2 * 1.96)
        assert abs(math.log(found.value / value)) < 4 * error
        assert error < 0.3


@pytest.mark.proof
def test_regimes_are_recovered_and_their_intervals_cover(claim):
    truth = np.array((QUIET, BUSY, DECAY, *STAYS))
    chains = [chain_of(SWITCHING, seed) for seed in range(REPLICATES)]
    found = [estimates(chain) for chain in chains]
    logs = np.log(np.array([[one.value for one in row] for row in found]) / truth)
    # A maximum-likelihood estimate is off by order variance; its logarithm by at most that.
    bias = np.abs(logs.mean(axis=0)) - logs.var(axis=0)
    claim(
        "regimes of a recording: bias, in standard errors",
        36,
        np.max(bias / logs.std(axis=0)) * math.sqrt(REPLICATES),
        4,
    )
    covered = np.mean([[one.low <= t <= one.high for one, t in zip(row, truth, strict=True)] for row in found], axis=0)
    claim("regimes of a recording: least coverage of 95 % intervals", 36, covered.min(), COVERAGE[0], at_least=True)
    claim("regimes of a recording: greatest coverage of 95 % intervals", 36, covered.max(), COVERAGE[1])
    claim("regimes of a recording: found", 36, np.mean([chain.better for chain in chains]), 1.0, at_least=True)


@pytest.mark.proof
@pytest.mark.parametrize("arrival_rate", [20.0, 140.0, 400.0])
def test_one_regime_is_seldom_taken_for_two(claim, arrival_rate):
    market = Market(fill_law="poisson", initial_mid=1000.0, arrival_rate=arrival_rate, horizon=10.0, steps=2000)
    wrong = sum(chain_of(market, seed).better for seed in range(200))
    # A level of 1 % makes more than 6 of 200 with a chance of 0.4 %.
    claim("one regime taken for two, of 200 recordings", 36, wrong, 6)


def test_one_regime_is_not_taken_for_two():
    market = Market(fill_law="poisson", initial_mid=1000.0, horizon=10.0, steps=2000)
    assert not any(chain_of(market, seed).better for seed in range(5))


def test_sides_that_differ_are_told_from_those_that_do_not():
    """The p-values of alike sides are those of a valid test; a third more takers on one side are seen."""

    def p_value(seed: int, **sides: float) -> float:
        market = Market(fill_law="poisson", initial_mid=1000.0, horizon=10.0, steps=2000, **sides)
        steps = recorded(market, seed)
        fits = [
            fit(sample(reach, TICK, TICK, "poisson", steps.on_tick), Exponential())
            for reach in (steps.bid_reach, steps.ask_reach)
        ]
        return difference(*fits)

    alike = np.array([p_value(seed) for seed in range(200)])
    # Of 200 tests at 5 % no more than 19 reject, with a chance of 0.995; of those at 1 %, no more than 6.
    assert np.count_nonzero(alike < 0.05) <= 19
    assert np.count_nonzero(alike < 0.01) <= 6
    assert np.count_nonzero(alike < 0.5) > 60  # the larger of two p-values is a little too large
    assert all(p_value(seed, bid_arrival_rate=190.0) < 0.01 for seed in range(10))
    assert all(p_value(seed, ask_depth_decay=2.1) < 0.01 for seed in range(10))


@pytest.fixture(scope="module")
def switching():
    """Twenty seconds of a market with regimes, whose bid sees a third more takers than its ask."""
    rates = {f"{side}_arrival_rate": [QUIET * more, BUSY * more] for side, more in (("bid", 4 / 3), ("ask", 1.0))}
    market = Market.from_dict({**SWITCHING.to_dict(), **rates, "arrival_rate": 140.0})
    return record(market, Tape.draw(market, 1, 4), TICK, 0.0, recordings.START)


def test_the_market_of_two_regimes_is_taken_everywhere(switching):
    found = calibrate(*switching, dt=0.005, horizon=1.0, regimes="auto", floor=TICK)
    assert found.apart
    market = found.market()
    assert market.regimes == 2
    assert market.initial_regime == 0
    for side, more in (("bid", 4 / 3), ("ask", 1.0)):
        rates = getattr(market, f"{side}_arrival_rate")
        np.testing.assert_allclose(rates, [QUIET * more, BUSY * more], rtol=0.15)
        for (low, high), truth in zip(
            [(one.low, one.high) for one in found.chain.arrival_rate[side]], (QUIET * more, BUSY * more), strict=True
        ):
            assert low / 1.1 < truth < high * 1.1
    kwargs = json.loads(json.dumps(found.environment(), allow_nan=False))
    env = gymnasium.make("mmenv/AvellanedaStoikov-v0", **kwargs)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    # What the maker of two regimes can earn lies between that of the quiet one and of the busy one.
    optima = [mmenv.solve(one, found.objective()).optimum for one in (market.in_regime(0), market, market.in_regime(1))]
    assert optima[0] < optima[1] < optima[2]


def test_one_regime_and_sides_alike_where_asked_for(switching):
    market = calibrate(*switching, dt=0.005, horizon=1.0, sides="alike").market()
    assert market.regimes == 1
    assert market.mirrored
    forced = calibrate(*recordings.simulated(20, 1), dt=0.005, horizon=1.0, regimes="2", sides="apart").market()
    assert forced.regimes == 2
    assert not forced.mirrored


def test_fees_and_ticks_reach_the_market(switching):
    found = calibrate(
        *switching, dt=0.005, horizon=1.0, sides="alike", fee=0.02, fee_rate=-1e-5, on_ticks=True
    )  # fmt: skip
    market = found.market()
    assert (market.fee, market.fee_rate, market.tick) == (0.02, -1e-5, found.steps.tick)
    quotes = mmenv.solve(market, found.objective()).quotes
    depths = quotes.bid_depth[np.isfinite(quotes.bid_depth)] / market.tick
    np.testing.assert_allclose(depths, np.round(depths), atol=1e-6)


def test_the_command_says_what_it_found(tmp_path, capsys, switching):
    pytest.importorskip("polars")
    (tmp_path / "trades.csv").write_bytes(recordings.tardis_trades(switching[0]))
    (tmp_path / "quotes.csv").write_bytes(recordings.tardis_quotes(switching[1]))
    words = ["calibrate", str(tmp_path / "trades.csv"), str(tmp_path / "quotes.csv"), "--dt", "0.005", "--no-figures"]
    assert main([*words, "--fee", "0.01", "-o", str(tmp_path / "one")]) == 0
    printed = capsys.readouterr().out
    for text in (
        "Takers come in busy and quiet spells",
        "--regimes auto",
        "has an A and a k for each",
        "stays busy for",
    ):
        assert text in printed
    assert main([*words, "--regimes", "auto", "--sides", "alike", "-o", str(tmp_path / "two")]) == 0
    assert "The market has two regimes." in capsys.readouterr().out
    one, two = (json.loads((tmp_path / name / "market.json").read_text())["market"] for name in ("one", "two"))
    assert one["fee"] == 0.01
    assert one["transition_rates"] is None
    assert one["bid_arrival_rate"] > one["ask_arrival_rate"]
    assert len(two["arrival_rate"]) == 2
    assert two["bid_arrival_rate"] is None
    values = json.loads((tmp_path / "two" / "calibration.json").read_text())
    assert values["regimes"]["in_market"] == 2
    assert main([*words, "--fee", "nan", "-o", str(tmp_path / "three")]) == 2
    assert "fee must be a finite number, got nan" in capsys.readouterr().err
