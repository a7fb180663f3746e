"""From a recording to a graded agent: calibrate, train, grade on the model and on the part that was not fitted.

    python examples/real_market.py TRADES QUOTES [--out FOLDER] [--on-recording]

It runs the three commands that one would type, and prints each. The first 60 % of the time are fitted (and, with
--on-recording, trained on); the rest is only tested on.
"""

import argparse
import subprocess
import sys
from pathlib import Path


def run(*words: str) -> None:
    print("\n$ python -m", *words, flush=True)
    subprocess.run([sys.executable, "-m", *words], check=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trades", help="file of trades")
    parser.add_argument("quotes", help="file of best quotes")
    parser.add_argument("--out", default="real-market", help="folder for everything (default: %(default)s)")
    parser.add_argument("--on-recording", action="store_true", help="train on the recording, not on the model")
    parser.add_argument("--transitions", help="of training (default: those of the preset quick)")
    options = parser.parse_args(arguments)
    out = Path(options.out)
    market, runs = out / "market.json", out / "runs"
    try:
        run("mmenv", "calibrate", options.trades, options.quotes, "--split", "0.6", "--out", str(out))
        tape = ["--tape", str(out / "train.npz")] if options.on_recording else []
        length = ["-n", options.transitions] if options.transitions else []
        run("train", "--preset", "quick", *length, "--market", str(market), *tape, "-f", str(runs))
        newest = max(runs.iterdir(), key=lambda folder: folder.stat().st_mtime)
        report = ("--out", str(out / "report"), "--overwrite", "--episodes", "20000")
        run("evaluate", str(newest), "--tape", str(out / "test.npz"), *report)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
