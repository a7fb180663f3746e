"""The tape: all that the outside world does in a session, drawn before anyone acts (docs/model.md, section 3).

Reaches follow equation 8, so that reach > depth has exactly the probability of a fill (equation 9). Nothing
on the tape depends on the maker's quotes, so one tape can be played to any number of policies. Streams are
keyed by (seed, block of 64 environments, episode) and whole blocks are always drawn: what environment i sees
depends neither on how many environments run beside it nor on any other seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmenv import _validate
from mmenv.market import Market

# Both are part of the definition of the streams: changing one changes every episode of every seed.
BLOCK = 64
ROWS = 16
# What streams beyond those of moves and reaches are for: the chain of regimes, and who among the takers knows.
CHAIN, KNOWING = 1, 2


class Flow(NamedTuple):
    """One row of a tape: what the world does within a step. Scalars or arrays of shape (paths,).

    Attributes:
        mid_move: change of the mid [price].
        bid_reach: how deep below the mid sellers reached [price]; our bid fills iff bid_reach > bid_depth.
        ask_reach: how far above the mid buyers reached [price]; our ask fills iff ask_reach > ask_depth.
        regime: the regime of the next step.
    """

    mid_move: Any
    bid_reach: Any
    ask_reach: Any
    regime: Any = 0


@dataclass(frozen=True)
class Tape:
    """What the world does in whole sessions.

    Attributes:
        mid_move: changes of the mid, shape (steps, paths) [price].
        bid_reach: how deep takers reached below the mid, shape (steps, paths) [price]; may be infinite.
        ask_reach: how far takers reached above the mid, shape (steps, paths) [price]; may be infinite.
        regime: the regime before each step and after the last, shape (steps + 1, paths), or None for one regime;
            the parameters of the steps are already in the other three.

    Raises:
        ValueError: shapes differ, are not two-dimensional, or an entry is NaN.
    """

    mid_move: np.ndarray
    bid_reach: np.ndarray
    ask_reach: np.ndarray
    regime: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.mid_move)
        for name in ("mid_move", "bid_reach", "ask_reach"):
            values = np.asarray(getattr(self, name), dtype=float)
            if values.ndim != 2 or values.shape != shape:
                raise ValueError(f"{name} must have shape (steps, paths) like mid_move {shape}, got {values.shape}")
            if np.isnan(values).any():
                raise ValueError(f"{name} must hold no NaN, got {int(np.isnan(values).sum())} of them")
            object.__setattr__(self, name, values)
        if not np.isfinite(self.mid_move).all():
            raise ValueError("mid_move must be finite everywhere")
        if self.regime is not None:
            self._check_regime((shape[0] + 1, shape[1]))

    def _check_regime(self, shape: tuple[int, int]) -> None:
        regime = np.asarray(self.regime)
        if regime.shape != shape:
            raise ValueError(f"regime must have shape (steps + 1, paths) = {shape}, got {regime.shape}")
        if not np.issubdtype(regime.dtype, np.integer) or regime.min(initial=0) < 0:
            raise ValueError(f"regime must hold integers >= 0, got {regime.dtype} from {regime.min()!r}")
        object.__setattr__(self, "regime", regime)

    @property
    def steps(self) -> int:
        """Number of steps in the sessions."""
        return self.mid_move.shape[0]

    @property
    def paths(self) -> int:
        """Number of sessions side by side."""
        return self.mid_move.shape[1]

    def flow(self, step: int) -> Flow:
        """The row of step `step`, arrays of shape (paths,)."""
        regime = 0 if self.regime is None else self.regime[step + 1]
        return Flow(self.mid_move[step], self.bid_reach[step], self.ask_reach[step], regime)

    def select(self, columns: Any) -> Tape:
        """The tape of some of the sessions, chosen by slice or index array."""
        regime = None if self.regime is None else self.regime[:, columns]
        return Tape(self.mid_move[:, columns], self.bid_reach[:, columns], self.ask_reach[:, columns], regime)

    @classmethod
    def draw(cls, market: Market, paths: int, seed: int, episode: int = 0) -> Tape:
        """Draw `paths` sessions of `market`.

        Column i of (seed, episode) is what environment i of that seed sees in that episode, whatever `paths` is.

        Args:
            market: the market.
            paths: number of sessions, >= 1.
            seed: any integer >= 0.
            episode: any integer >= 0.

        Raises:
            TypeError, ValueError: an argument is not an integer in its range.
        """
        paths = _validate.integer("paths", paths, at_least=1)
        blocks = range(-(-paths // BLOCK))
        tape = np.empty((3, market.steps, paths))
        regime = None
        if market.regimes > 1:
            regime = np.full((market.steps + 1, paths), market.initial_regime)
        parts = [*tape] if regime is None else [*tape, regime[1:]]
        row = 0
        for chunk in draw_chunks(market, blocks, seed, episode):
            for part, drawn in zip(parts, chunk, strict=True):
                part[row : row + len(drawn)] = drawn[:, :paths]
            row += len(chunk[0])
        mid_move, bid_reach, ask_reach = tape
        return cls(mid_move, bid_reach, ask_reach, regime)

    @classmethod
    def from_trades(cls, trades: Any, quotes: Any = None, *, dt: float, steps: int, **options: Any) -> Tape:
        """Sessions of a recorded market: per step the mid's move and how far takers reached on each side of it.

        The arguments are those of `mmenv.data.tape_from_trades`; trades and quotes are files or what the readers
        of `mmenv.data` return. See docs/real-markets.md for what a replay leaves out.

        Raises:
            ValueError: an argument is out of its range, or the recording holds no whole session.
            ModuleNotFoundError: files are given and the extra `data` is not installed.
        """
        from mmenv.data import tape_from_trades

        return tape_from_trades(trades, quotes, dt=dt, steps=steps, **options).tape


def draw_chunks(market: Market, blocks: range, seed: int, episode: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Draw a session's rows for whole blocks of environments, at most `ROWS` rows at a time.

    Yields:
        (mid_move, bid_reach, ask_reach), and in a market of several regimes the regimes after each step, each of
        shape (rows, 64 * len(blocks)); the rows add up to the session. The arrays are written over by the next
        chunk: copy what is to be kept.

    Raises:
        TypeError, ValueError: seed or episode is not an integer >= 0.
    """
    seed = _validate.integer("seed", seed, at_least=0)
    episode = _validate.integer("episode", episode, at_least=0)
    generators = _generators(seed, blocks, episode)
    world = _World(market, seed, blocks, episode)
    buffers = _buffers(len(blocks), min(ROWS, market.steps))
    for start in range(0, market.steps, ROWS):
        if market.steps - start < ROWS:
            buffers = _buffers(len(blocks), market.steps - start)
        normal, exponential, mid_move, reach = buffers
        for generator, moves, reaches in zip(generators, normal, exponential, strict=True):
            generator.standard_normal(out=moves)
            generator.standard_exponential(out=reaches)
        regimes = world.regimes(len(mid_move))
        world.turn_into_flow(normal.transpose(1, 0, 2), exponential.transpose(1, 2, 0, 3), regimes, mid_move, reach)
        width = len(blocks) * BLOCK
        parts = mid_move.reshape(-1, width), reach[0].reshape(-1, width), reach[1].reshape(-1, width)
        yield parts if regimes is None else (*parts, regimes[1:].reshape(-1, width))


def _generators(seed: int, blocks: range, episode: int, *purpose: int) -> list[np.random.Generator]:
    """A stream for each block; what not every market needs is drawn from streams of its own, keyed by purpose."""
    return [
        np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(block, episode, *purpose))))
        for block in blocks
    ]


class _World:
    """What turns standard draws into the flow of a market: regimes, moves, reaches, informed takers."""

    def __init__(self, market: Market, seed: int, blocks: range, episode: int) -> None:
        self.market = market
        self.move_size = market.by_regime("volatility")[:, 0] * math.sqrt(market.dt)
        self.move_mean = market.move_mean[:, 0]
        self.share, self.jump = market.by_regime("informed_share")[:, 0], market.by_regime("informed_jump")[:, 0]
        self.cumulative = np.cumsum(market.transition, axis=1)[:, :-1]
        self.now = np.full((len(blocks), BLOCK), market.initial_regime)
        self.chain = _generators(seed, blocks, episode, CHAIN) if market.regimes > 1 else []
        self.knowing = _generators(seed, blocks, episode, KNOWING) if market.informed else []

    def regimes(self, rows: int) -> np.ndarray | None:
        """The regimes before each of the next rows and after the last, shape (rows + 1, blocks, 64)."""
        if not self.chain:
            return None
        uniform = np.stack([generator.random((rows, BLOCK)) for generator in self.chain], axis=1)
        path = np.empty((rows + 1, *self.now.shape), dtype=np.int64)
        path[0] = self.now
        for row in range(rows):
            thresholds = self.cumulative[path[row]]
            path[row + 1] = (uniform[row][..., None] >= thresholds).sum(axis=-1)
        self.now = path[-1]
        return path

    def turn_into_flow(
        self, normal: np.ndarray, exponential: np.ndarray, regimes: np.ndarray | None, move: np.ndarray, reach: Any
    ) -> None:
        """Write moves (rows, blocks, 64) and reaches (2, rows, blocks, 64) of standard draws of the same shapes."""
        market = self.market
        at = 0 if regimes is None else regimes[:-1]
        np.multiply(normal, self.move_size[at], out=move)
        for law, drawn, side in zip((market.bid_law, market.ask_law), exponential, reach, strict=True):
            law.at(at).reach(drawn, out=side)
        if self.move_mean.any():
            move += self.move_mean[at]
        if self.knowing:
            uniform = np.stack([generator.random((2, len(move), BLOCK)) for generator in self.knowing], axis=2)
            knows = (uniform < self.share[at]) & (reach > 0)
            move += self.jump[at] * (1.0 * knows[1] - knows[0])


def _buffers(blocks: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Room for the numbers as drawn, block by block, and for the tape made of them, row by row."""
    drawn = np.empty((blocks, rows, BLOCK)), np.empty((blocks, 2, rows, BLOCK))
    return *drawn, np.empty((rows, blocks, BLOCK)), np.empty((2, rows, blocks, BLOCK))
