"""Ten million synthetic trades and two million quotes: written, read, calibrated; seconds and peak memory.

python benchmarks/recording.py [--trades N]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

START = 1_700_000_000_000  # ms
DAY = 86_400_000


def write(folder: Path, trades: int) -> tuple[Path, Path]:
    """A day of a random walk with exponential reaches, in the exchange's layout; tick 0.1."""
    rng = np.random.default_rng(0)
    time = START + np.sort(rng.integers(0, DAY, trades))
    mid = np.round(600_000 + np.cumsum(rng.normal(0, 0.5, trades))).astype(np.int64)
    sells = rng.random(trades) < 0.5
    reach = np.ceil(rng.exponential(5, trades))
    price = ((mid + np.where(sells, -reach, reach + 1)) / 10).round(1)
    size = rng.integers(1, 1000, trades) / 1000
    table = {"id": np.arange(trades), "price": price, "qty": size, "quote_qty": price, "time": time}
    pl.DataFrame(table | {"is_buyer_maker": sells}).write_csv(folder / "trades.csv")
    some = slice(None, None, 5)
    book = {"update_id": np.arange(len(mid[some])), "best_bid_price": (mid[some] / 10).round(1), "best_bid_qty": 1.0}
    book |= {"best_ask_price": ((mid[some] + 1) / 10).round(1), "best_ask_qty": 1.0}
    pl.DataFrame(book | {"transaction_time": time[some], "event_time": time[some]}).write_csv(folder / "quotes.csv")
    return folder / "trades.csv", folder / "quotes.csv"


def main(trades: int = 10_000_000) -> float:
    with tempfile.TemporaryDirectory() as name:
        files = write(Path(name), trades)
        words = ["calibrate", *map(str, files), "--out", str(Path(name) / "out")]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mmenv", *words], check=True)
        seconds = time.perf_counter() - started
    print(f"{trades:,} trades read and calibrated in {seconds:.1f} s{_peak()}")
    return seconds


def _peak() -> str:
    """Peak memory of the command, where the system tells."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes or KiB
    return f", peak memory {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9:.2f} GB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trades", type=int, default=10_000_000)
    main(parser.parse_args().trades)
