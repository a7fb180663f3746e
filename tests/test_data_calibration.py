"""Calibration recovers what a simulated recording was made with, and its intervals cover as often as they say."""

import json
import math

import gymnasium
import numpy as np
import pytest
from scipy import stats

import mmenv
from mmenv import Market, Problem, Tape
from mmenv.data import RecordingError, calibrate, market_orders, record
from mmenv.data.curves import Exponential, Power, Table
from mmenv.data.flow import clustering, informed, markouts
from mmenv.data.goodness import empirical, goodness
from mmenv.data.likelihood import fit, log_likelihoods, positive, sample
from mmenv.data.recording import MarketOrders, Quotes, Trades
from mmenv.data.steps import Steps, cut
from mmenv.data.volatility import drift, signature
from tests import recordings

REPLICATES = 400
SESSIONS = 10  # of 200 steps each
# 400 intervals of 95 % cover between 92 and 98 of 100 times with probability 0.99.
COVERAGE = (0.92, 0.98)


def covers(interval, truth: float) -> tuple[bool, bool]:
    return interval.low <= truth <= interval.high, interval.robust_low <= truth <= interval.robust_high


def assert_unbiased(values: list[float], truth: float, curvature: float = 0.0) -> None:
    """The mean of the estimates is the truth within four standard errors, once the known bias is added."""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - truth - curvature) < 4 * error


def assert_covers(hits: list, low: float = COVERAGE[0], high: float = COVERAGE[1]) -> None:
    shares = np.mean(hits, axis=0)
    assert np.all((shares >= low) & (shares <= high)), shares


@pytest.mark.parametrize(
    ("law", "arrival_rate", "tick"),
    [("poisson", 140.0, 0.01), ("poisson", 140.0, 0.4), ("poisson", 800.0, 0.05), ("linear", 140.0, 0.05)],
)
def test_arrivals_and_decay_are_recovered_from_files_of_trades(law, arrival_rate, tick):
    """Written out as trades on a grid of ticks and read back; a tick of 0.4 is 0.6 of the mean depth 1/k."""
    market = Market(fill_law=law, arrival_rate=arrival_rate, depth_decay=1.5, initial_mid=1000.0)
    logs, hits = [], []
    for seed in range(REPLICATES):
        trades, quotes = record(market, Tape.draw(market, SESSIONS, seed), tick, floor=0.0)
        steps = cut(trades, quotes, market.dt, tick)
        found = fit(sample(steps.ask_reach, tick, 2 * tick, law, steps.on_tick), Exponential())
        arrivals, decay = positive(found, 0).scaled(1 / market.dt), positive(found, 1)
        logs.append((math.log(arrivals.value / arrival_rate), math.log(decay.value / 1.5)))
        hits.append((*covers(arrivals, arrival_rate), *covers(decay, 1.5)))
    for values in zip(*logs, strict=True):
        # A maximum-likelihood estimate is off by order variance; its logarithm by at most that.
        assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(REPLICATES) + np.var(values)
    assert_covers(hits)


def test_single_orders_are_a_poisson_process_with_exponential_reaches():
    """Closed form: with all reaches known and no floor, A = count / time and k = 1 / mean reach."""
    rng = np.random.default_rng(1)
    reach = rng.exponential(1 / 1.5, 5000)
    tick = 1e-5
    found = fit(sample(reach, tick, 0.0, "orders", steps=(7000.0, 0.0)), Exponential())
    assert positive(found, 0).value == pytest.approx(5000 / 7000, rel=1e-4)
    assert positive(found, 1).value == pytest.approx(1 / reach.mean(), rel=1e-3)
    errors = np.sqrt(np.diag(found.covariance))
    np.testing.assert_allclose(errors, 1 / math.sqrt(5000), rtol=0.01)  # both, for ln A and ln k


def test_intervals_from_single_orders_cover():
    hits = []
    for seed in range(REPLICATES):
        rng = np.random.default_rng(seed)
        reach = (np.floor(rng.exponential(1 / 1.5, rng.poisson(0.7 * 1000)) / 0.1) + 0.5) * 0.1
        found = fit(sample(reach, 0.1, 0.0, "orders", steps=(1000.0, 0.0)), Exponential())
        hits.append((covers(positive(found, 0), 0.7)[0], covers(positive(found, 1), 1.5)[0]))
    assert_covers(hits)


def test_the_likelihood_of_a_cell_is_the_probability_of_it():
    """Against the fill laws' own probabilities, which know nothing of cells."""
    data = sample(np.array([-np.inf] * 5 + [0.15, 0.25, 0.35] * 5), 0.1, 0.1, "poisson")
    for law in ("poisson", "linear"):
        probability = Market(fill_law=law, arrival_rate=100.0, depth_decay=2.0, horizon=1.0, steps=200).law.probability
        found = np.exp(log_likelihoods(type(data)(**{**vars(data), "law": law}), Exponential(), np.log([0.5, 2.0])))
        expected = [
            1 - probability(0.1),
            1 - probability(0.15),
            *(probability(low) - probability(low + 0.1) for low in (0.1, 0.2, 0.3)),
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_half_a_tick_matters():
    """Reaches taken at their prints, as the usual recipe does, are biased; cells are not."""
    rng = np.random.default_rng(2)
    latent = rng.exponential(1 / 1.5, 200_000)
    prints = np.ceil(latent / 0.5) * 0.5  # the first tick at or beyond
    shifted = fit(sample(prints - 0.25, 0.5, 0.0, "orders", steps=(1.0, 0.0)), Exponential())
    assert positive(shifted, 1).value == pytest.approx(1.5, rel=0.01)
    assert 1 / prints.mean() < 1.3  # the recipe: 1 over the mean print


@pytest.mark.parametrize("lag", [0, 3])
def test_volatility_and_drift_cover(lag):
    hits, values = [], []
    for seed in range(REPLICATES):
        trades, quotes = recordings.simulated(SESSIONS, seed)
        steps = cut(trades, quotes, recordings.MARKET.dt, 0.01)
        found = signature(steps)
        values.append(found.volatility[lag].value ** 2)
        hits.append((*covers(found.volatility[lag], 2.0), *covers(drift(steps), 0.0)))
    assert_unbiased(values, 4.0)
    assert_covers(hits)


def test_a_noisy_mid_is_measured_at_a_longer_lag():
    rng = np.random.default_rng(3)
    diffusion = np.cumsum(rng.normal(0, 0.1, 50_001))
    mid = diffusion + rng.choice([-0.1, 0.1], 50_001)  # noise adds 2 * 0.01 to every squared move of 0.01
    found = signature(steps_of(np.diff(mid)))
    assert found.volatility[0].value == pytest.approx(0.1 * math.sqrt(3), rel=0.02)
    assert found.lag[found.chosen] > found.lag[0]
    assert found.best.value < 0.115


def steps_of(moves, ask=None, bid=None) -> Steps:
    count = len(moves)
    none = np.full(count, -np.inf)
    start = np.arange(count, dtype=np.int64) * 10**9
    return Steps(
        1.0, 0.01, start, np.full(count, 100.0), moves, none if bid is None else bid, none if ask is None else ask,
        np.zeros(count, dtype=int),
    )  # fmt: skip


def test_informed_share_and_jump_are_recovered():
    share, jump, sigma = 0.3, 2.0, 1.0
    hits, values = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        reached = rng.random((2, 2000)) < 0.5
        ask, bid = np.where(reached, 1.0, -np.inf)
        knows = reached & (rng.random((2, 2000)) < share)
        found = informed(steps_of(rng.normal(0, sigma, 2000) + jump * (knows[0] * 1.0 - knows[1]), ask, bid))
        assert found is not None
        values.append((found.share.value, found.jump.value, found.volatility.value))
        hits.append(
            [
                e.low <= t <= e.high
                for e, t in zip((found.share, found.jump, found.volatility), (share, jump, sigma), strict=True)
            ]
        )
        assert found.p_value < 1e-6
    for column, truth in zip(zip(*values, strict=True), (share, jump, sigma), strict=True):
        assert abs(np.mean(column) - truth) < 4 * np.std(column) / math.sqrt(200) + np.var(column) / truth
    assert_covers(hits)


def test_no_informed_takers_where_there_are_none():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ask, bid = np.where(rng.random((2, 1000)) < 0.5, 1.0, -np.inf)
        found.append(informed(steps_of(rng.normal(size=1000), ask, bid)))
    assert sum(one is not None and one.p_value < 0.01 for one in found) <= 2


def test_the_right_law_passes_the_test_and_a_wrong_one_fails():
    p_values, misses = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        reach = (np.log(0.7) - np.log(rng.exponential(size=2000))) / 1.5
        data = sample(np.where(reach > 0, np.round(reach / 0.1) * 0.1, -np.inf), 0.1, 0.1, "poisson", True)
        found = goodness(fit(data, Exponential()))
        p_values.append(found.p_value)
        misses.append(found.miss)
        assert found.fits or found.p_value < 0.01
    # p-values are uniform or a little larger. 200 uniform ones deviate by 0.115 in 1 of 100 tests.
    assert stats.kstest(p_values, "uniform", alternative="greater").statistic < 0.115
    assert np.mean(np.array(p_values) < 0.5) > 0.25
    assert max(misses) < 0.06
    rng = np.random.default_rng(0)
    heavy = np.where(rng.random(2000) < 0.5, (1 - rng.random(2000)) ** (-1 / 1.2) - 1, -np.inf)
    data = sample(np.round(heavy / 0.1) * 0.1, 0.1, 0.1, "poisson", True)
    wrong, right = fit(data, Exponential()), fit(data, Power())
    assert not goodness(wrong).fits
    assert goodness(right).fits
    assert right.aic < wrong.aic - 100


def test_a_power_law_is_recovered():
    rng = np.random.default_rng(4)
    # Lambda(x) = 0.7 (1 + x/0.5)^-2, deepest of the orders of a step.
    reach = 0.5 * ((rng.exponential(size=100_000) / 0.7) ** (-1 / 2) - 1)
    data = sample(np.where(reach > 0, np.round(reach / 0.01) * 0.01, -np.inf), 0.01, 0.01, "poisson", True)
    found = fit(data, Power())
    errors = np.sqrt(np.diag(found.covariance))
    np.testing.assert_array_less(np.abs(found.parameters - np.log([0.7, 0.5, 2.0])), 4 * errors)
    assert np.all(errors < 0.1)


def test_a_table_follows_any_curve():
    rng = np.random.default_rng(5)
    reach = np.where(rng.random(20_000) < 0.5, rng.uniform(0, 2, 20_000), -np.inf)
    data = sample(np.round(reach / 0.01) * 0.01, 0.01, 0.0, "poisson", True)
    found = fit(data, Table((0.0, 0.5, 1.0, 1.5, 1.8)), np.array([-0.4, 0.0, 0.0, 0.0, 0.0, 0.0]))
    depth, frequency = empirical(data)
    assert np.max(np.abs(found.survival(depth) - frequency)) < 0.02
    assert found.aic < fit(data, Exponential()).aic - 100


def test_markouts_of_known_moves():
    """The mid goes up by 1 half a second after every buy and down by 1 after every sell."""
    time = np.arange(400, dtype=np.int64) * 10 * 10**9
    side = np.where(np.random.default_rng(6).random(400) < 0.5, 1, -1)
    mid = 1000.0 + np.concatenate([[0], np.cumsum(side)])
    quotes = Quotes(np.concatenate([[-1], time + 5 * 10**8]), mid - 0.5, mid + 0.5)
    found = {
        m.horizon: m.mean.value for m in markouts(MarketOrders(time, side, mid[:-1]), quotes, (0.0, 0.4, 0.5, 1.0))
    }
    assert found == {0.0: 0.0, 0.4: 0.0, 0.5: 1.0, 1.0: 1.0}


def test_clustering_of_known_flow():
    rng = np.random.default_rng(7)
    steps = steps_of(np.zeros(20_000))
    poisson = np.sort(rng.uniform(0, 20_000, 40_000) * 10**9).astype(np.int64)
    plain = clustering(MarketOrders(poisson, rng.choice([-1, 1], 40_000), poisson), steps)
    for window, value in plain.fano:
        assert abs(value - 1) < 4 * math.sqrt(2 / (20_000 / window))
    assert all(abs(value) < 2 * plain.sign_bound for _, value in plain.sign)
    half = np.sort(rng.uniform(0, 20_000, 20_000) * 10**9).astype(np.int64)
    pairs = np.repeat(half, 2)  # every order comes twice, on the same side: variance doubles
    twins = clustering(MarketOrders(pairs, np.repeat(rng.choice([-1, 1], 20_000), 2), pairs), steps)
    for window, value in twins.fano:
        assert abs(value - 2) < 4 * 2 * math.sqrt(2 / (20_000 / window))
    assert twins.sign[0][1] == pytest.approx(0.5, abs=0.03)


def test_trades_of_one_instant_and_side_are_one_order():
    time = np.array([1, 1, 1, 2, 2], dtype=np.int64)
    side = np.array([1, -1, 1, 1, 1], dtype=np.int8)
    orders = market_orders(Trades(time, np.array([10.0, 9.0, 11.0, 12.0, 10.0]), side, np.ones(5)))
    assert list(zip(orders.time, orders.side, orders.price, strict=True)) == [(1, -1, 9.0), (1, 1, 11.0), (2, 1, 12.0)]


@pytest.fixture(scope="module")
def calibrated():
    trades, quotes = recordings.simulated(40, seed=11)
    return calibrate(trades, quotes, dt=recordings.MARKET.dt, horizon=recordings.MARKET.horizon)


def test_a_whole_calibration_finds_the_market_again(calibrated):
    market = calibrated.market()
    both = calibrated.sides["both"]
    for found, truth in ((both.arrival_rate, 140.0), (both.depth_decay, 1.5)):
        error = math.log(found.high / found.low) / (2 * 1.96)
        assert abs(math.log(found.value / truth)) < 4 * error < 0.1
    assert calibrated.signature.best.value == pytest.approx(2.0, abs=4 * 2.0 / math.sqrt(2 * 8000))
    assert calibrated.sides["both"].goodness.fits
    assert (market.steps, market.horizon) == (200, pytest.approx(1.0))
    assert calibrated.objective().weight == pytest.approx(1.0, rel=0.1)  # the default market's own penalty


def test_the_market_file_is_taken_by_every_command(calibrated, tmp_path):
    kwargs = json.loads(json.dumps(calibrated.environment(), allow_nan=False))
    env = gymnasium.make("mmenv/AvellanedaStoikov-v0", **kwargs)
    assert env.unwrapped.problem == Problem(calibrated.market(), calibrated.objective())
    config = pytest.importorskip("train.config").TrainingConfig(env_kwargs=kwargs)
    assert config.problem.market == calibrated.market()


def test_the_optimum_does_not_feel_the_box(calibrated):
    market, objective = calibrated.market(), calibrated.objective()
    solution = mmenv.solve(market, objective)
    wide = Market(**{**market.to_dict(), "min_depth": market.min_depth - 2, "max_depth": market.max_depth + 2})
    assert mmenv.solve(wide, objective).optimum == pytest.approx(solution.optimum, rel=1e-6)


def test_a_toxic_market_is_found_again_and_its_file_is_taken():
    """Drawn from a market with informed takers, written out as trades and quotes, calibrated, solved."""
    market = Market(
        fill_law="poisson", initial_mid=1000.0, informed_share=0.4, informed_jump=0.3, volatility=1.5, horizon=1.0
    )
    # A fine tick: jumps of takers who reach between the mid and the floor count as volatility.
    trades, quotes = record(market, Tape.draw(market, 60, 3), 0.0005, floor=0.0)
    found = calibrate(trades, quotes, dt=0.005, horizon=1.0, tick=0.0005, floor=0.0005)
    assert found.toxic
    knowing = found.informed
    for estimate, truth in ((knowing.share, 0.4), (knowing.jump, 0.3), (knowing.volatility, 1.5)):
        assert abs(estimate.value - truth) < 4 * (estimate.high - estimate.low) / (2 * 1.96)
        assert estimate.high / estimate.low < 1.1
    problem = Problem.from_arguments(**json.loads(json.dumps(found.environment(informed=True))))
    assert problem.market.informed_share == knowing.share.value
    plain = mmenv.solve(found.market(), found.objective()).optimum
    assert mmenv.solve(problem.market, problem.objective).optimum < plain - 1


def test_choices_that_are_left_to_the_calibration():
    trades, quotes = recordings.simulated(20, seed=12)
    found = calibrate(trades, quotes)
    assert found.steps.dt == 0.005  # 0.7 market orders per side
    assert found.steps.tick == pytest.approx(0.01)
    assert found.floor in (pytest.approx(0.01), pytest.approx(0.015))  # spreads of one and two ticks
    assert found.horizon == pytest.approx(1.0)
    assert not calibrate(trades, quotes, horizon=0.05).guessed_quotes


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dt": -1.0}, "dt must be a finite number > 0"),
        ({"tick": 0.0}, "tick must be a finite number > 0"),
        ({"dt": 1.0, "horizon": 0.1}, "horizon must be at least dt"),
        ({"floor": 1e9}, "needs at least"),
        ({"law": "exponential"}, "law must be one of"),
        ({"dt": 1e-12}, "at least a nanosecond"),
        ({"dt": 1e-8}, "into at most 100,000,000 steps, got 2,000,000,000"),
        ({"horizon": 1e6}, "horizon must be at most 100,000 steps"),
        ({"dt": 1e6}, "must share at least two steps"),
        ({"law": "linear", "dt": 0.5}, "the linear law has no rate"),
    ],
)
def test_refusals(kwargs, message):
    trades, quotes = recordings.simulated(20, seed=12)
    with pytest.raises(ValueError, match=message):
        calibrate(trades, quotes, **kwargs)


def test_short_recordings_are_refused():
    trades, quotes = recordings.small()
    with pytest.raises(RecordingError, match="needs at least"):
        calibrate(trades, quotes)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_real_recordings(symbol):
    pytest.importorskip("polars")
    from mmenv.data import read_quotes, read_trades

    files = recordings.real_files(symbol)
    trades, quotes = read_trades(files[0])[0], read_quotes(files[1])[0]
    found = calibrate(trades, quotes)
    assert found.steps.tick == pytest.approx({"BTCUSDT": 0.1, "ETHUSDT": 0.01}[symbol])
    assert found.floor == pytest.approx(found.steps.tick)  # the spread is one tick
    # The exponential holds beyond the best quote; with the trades at it, it does not, and the calibration says so.
    assert found.sides["both"].goodness.fits
    inside = calibrate(trades, quotes, floor=0.0, dt=found.steps.dt)
    assert not inside.sides["both"].goodness.fits
    assert inside.sides["both"].best_shape == "table"
    assert mmenv.solve(found.market(), found.objective()).optimum > 0
