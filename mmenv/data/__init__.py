"""Recorded markets: readers, calibration, and recordings replayed as tapes (docs/real-markets.md).

Reading files needs the extra `data`; everything else works on arrays.
"""

from typing import TYPE_CHECKING, Any

from mmenv.data.calibration import Calibration, calibrate
from mmenv.data.clean import Cleaning
from mmenv.data.recording import MarketOrders, Quotes, RecordingError, Trades, market_orders
from mmenv.data.replay import RecordedTape, as_recorded, load_tape, record, resample, save_tape, tape_from_trades

if TYPE_CHECKING:
    from mmenv.data.readers import read_quotes, read_trades


def __getattr__(name: str) -> Any:
    if name in ("read_quotes", "read_trades"):
        from mmenv.data import readers

        return getattr(readers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
