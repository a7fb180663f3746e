"""What a calibration chooses where it is not told: the floor, the length of a step and of a session."""

from __future__ import annotations

import math

import numpy as np

from mmenv.data.recording import SECOND, MarketOrders, Quotes, RecordingError

# The default market has 0.7 market orders per side and step, and 200 steps in a session: so do calibrated ones.
ORDERS_PER_STEP = 0.7
STEPS = 200
# A short recording is cut into this many sessions of at least so many steps.
SESSIONS = 20
LEAST_STEPS = 50
FEWEST = 20


def touch(quotes: Quotes, tick: float) -> float:
    """Half the usual spread, by time, and half a tick: trades up to here went no further than the best quote."""
    lasting = np.diff(quotes.time)
    if not lasting.sum():
        raise RecordingError("quotes must last for some time")
    spreads = np.round((quotes.ask - quotes.bid)[:-1] / tick).astype(np.int64)
    order = np.argsort(spreads)
    usual = spreads[order][np.searchsorted(np.cumsum(lasting[order]), lasting.sum() / 2)]
    return float(usual + 1) * tick / 2


def usual_dt(orders: MarketOrders, reaches: np.ndarray, floor: float) -> float:
    """The number 1, 2 or 5 times a power of ten that makes about 0.7 market orders beyond the floor per side [s].

    Smaller where the recording would not yield twenty sessions of fifty steps.
    """
    seconds, count = (int(orders.time[-1]) - int(orders.time[0])) / SECOND, int(np.count_nonzero(reaches > floor))
    if count < FEWEST or seconds <= 0:
        raise RecordingError(
            f"a calibration needs at least {FEWEST} market orders beyond the floor {floor:g} over some time, "
            f"got {count}"
        )
    wanted = ORDERS_PER_STEP * 2 * seconds / count
    most = seconds / (SESSIONS * LEAST_STEPS)
    power = math.floor(math.log10(min(wanted, most)))
    choices = [float(f"{m}e{p}") for p in (power - 1, power, power + 1) for m in (1, 2, 5)]
    return min((dt for dt in choices if dt <= most), key=lambda dt: abs(math.log(dt / wanted)))


def usual_steps(steps: int) -> int:
    """200 steps in a session, or fewer where that leaves fewer than twenty sessions: 1, 2 or 5 times a power of ten."""
    most = max(1, min(STEPS, steps // SESSIONS))
    return max(m * 10**p for p in range(3) for m in (1, 2, 5) if m * 10**p <= most)
