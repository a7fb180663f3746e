"""`python -m evaluate article`: test the claims, print the table, write the pages."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from evaluate.article.bench import Bench
from evaluate.article.finding import Finding
from evaluate.article.hedging import claim_7
from evaluate.article.quoting import claim_0, claim_1, claim_2
from evaluate.article.risk import claim_8
from evaluate.article.slicing import claim_4
from evaluate.article.terminal import wrapped_table
from evaluate.article.thin import claim_5
from evaluate.article.toxic import claim_6
from evaluate.article.widening import claim_3
from evaluate.article.words import LANGUAGES, words
from mmenv import _validate

CLAIMS: tuple[Callable[[Bench], Finding], ...] = (
    claim_0, claim_1, claim_2, claim_3, claim_4, claim_5, claim_6, claim_7, claim_8,
)  # fmt: skip
EPISODES = 50_000
WIDTHS = (20, 34, 40, 16)


def find_all(bench: Bench) -> list[Finding]:
    """Test all claims."""
    return [claim(bench) for claim in _bar(CLAIMS, "claims")]


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError, TypeError, OSError: bad input, in one sentence.
    """
    options = _parser().parse_args(argv)
    started = time.perf_counter()
    from mmenv._extras import needs

    with needs("report"):
        import matplotlib  # noqa: F401  (asked for before the work, not after it)
    from evaluate import folder
    from evaluate.article import page

    episodes = _validate.integer("--episodes", options.episodes, at_least=2)
    seed = _validate.integer("--seed", options.seed, at_least=0)
    out = folder.choose(options.out, "article", options.overwrite)
    bench = Bench.of(episodes=episodes, seed=seed)
    findings = find_all(bench)
    pages = page.write(bench, findings, out, " ".join(["python -m evaluate article", *argv]), _bar)
    language = words(options.language)
    print(wrapped_table(page.summary_rows(findings, language), WIDTHS))
    for path in pages:
        print(f"page: {path}")
    print(f"took {time.perf_counter() - started:.0f} s")
    return 0


def _bar(items: Sequence[Any], what: str) -> Iterable[Any]:
    """Show how far it has got, once it takes long enough to wonder."""
    from tqdm import tqdm

    return tqdm(items, desc=what, delay=2, disable=None, leave=False, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluate article",
        description="Put an article's claims on market makers to the test: a table, and a page in two languages.",
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: a new folder below reports/)")
    parser.add_argument("--overwrite", action="store_true", help="replace the report in --out")
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, metavar="N", help=f"simulated sessions (default: {EPISODES:,})"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the simulated sessions (default: 0)")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of the printed table (default: en)")
    return parser
