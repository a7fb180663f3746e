"""How fast the environments step, as ratios within one run: medians of interleaved repeats.

Run: python -m benchmarks.environments [--quick]

Processor time of this process is what counts (everything here is single-threaded), so that other work on the machine
weighs less.

- single: seconds per step of CartPole-v1 over seconds per step of ours (above 1: ours is faster), without and
  with the resets (CartPole's episodes are as short as random actions make them; ours have 200 steps).
- vector: seconds per step of the native vector environment, its random numbers included, over what NumPy's
  fastest generator (SFC64, float32) needs merely to draw the same numbers (below is better).
- grade: seconds to grade a network's quotes exactly.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np

import mmenv
from mmenv.envs import MarketMakingEnv, MarketMakingVectorEnv

SIZES = (1, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)


def seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(repeats: int, **works: Callable[[], None]) -> dict[str, list[float]]:
    """Run the works in turn, `repeats` times after a warm-up; the seconds of each."""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return taken


def single(repeats: int) -> None:
    ours, cart = MarketMakingEnv(), gymnasium.make("CartPole-v1").unwrapped
    ours_action, cart_actions = np.zeros(2, dtype=np.float32), (0, 1)

    def steps(env: gymnasium.Env, actions: tuple, count: int) -> Callable[[], float]:
        def timed() -> float:
            total = 0.0
            for _ in range(40):
                env.reset()
                start = time.process_time()
                for i in range(count):
                    env.step(actions[i % len(actions)])
                total += time.process_time() - start
            return total / (40 * count)

        return timed

    def with_resets(env: gymnasium.Env, actions: tuple) -> Callable[[], None]:
        def work() -> None:
            env.reset(seed=0)
            for i in range(4000):
                if env.step(actions[i % len(actions)])[2]:
                    env.reset()

        return work

    # Eight alternating pushes never end a CartPole episode, so that no step is one after the end.
    step_ours, step_cart = steps(ours, (ours_action,), 200), steps(cart, cart_actions, 8)
    ratios = [step_cart() / step_ours() for _ in range(repeats)]
    print(f"single step: CartPole-v1 / ours      {statistics.median(ratios):5.2f}   (>= 1: ours is at least as fast)")
    taken = interleaved(repeats, ours=with_resets(ours, (ours_action,)), cart=with_resets(cart, cart_actions))
    ratios = [b / a for a, b in zip(taken["ours"], taken["cart"], strict=True)]
    print(f"single step with resets              {statistics.median(ratios):5.2f}")


def vector(repeats: int, sizes: tuple[int, ...]) -> None:
    print("\nvector step / drawing the same numbers, and nanoseconds per environment and step")
    print(f"{'environments':>12}  {'ratio':>6}  {'ours ns':>8}  {'draw ns':>8}")
    for size in sizes:
        env = MarketMakingVectorEnv(size)
        env.reset(seed=0)
        actions = np.zeros((size, 2), dtype=np.float32)
        generator = np.random.Generator(np.random.SFC64(0))
        normal, reach = np.empty(size, dtype=np.float32), np.empty((2, size), dtype=np.float32)
        steps = 402 if size <= 16384 else 201

        def play(env=env, actions=actions, steps=steps) -> None:
            for _ in range(steps):
                env.step(actions)

        def draw(generator=generator, normal=normal, reach=reach, steps=steps) -> None:
            for _ in range(steps):
                generator.standard_normal(out=normal, dtype=np.float32)
                generator.standard_exponential(out=reach, dtype=np.float32)

        taken = interleaved(max(3, repeats if size <= 16384 else repeats // 3), ours=play, draw=draw)
        ratio = statistics.median(a / b for a, b in zip(taken["ours"], taken["draw"], strict=True))
        ours, drawn = (statistics.median(taken[name]) / steps / size * 1e9 for name in ("ours", "draw"))
        print(f"{size:12d}  {ratio:6.2f}  {ours:8.1f}  {drawn:8.1f}", flush=True)


def grading(repeats: int) -> None:
    market, objective = mmenv.Market(), mmenv.ExponentialPenalty()
    quotes = mmenv.solve(market, objective).quotes
    mmenv.grade(market, quotes)  # solves the market and fits the straight line, once
    taken = [seconds(lambda: mmenv.grade(market, quotes)) for _ in range(repeats)]
    solved = [seconds(lambda: mmenv.solve(market, objective)) for _ in range(repeats)]
    print(f"\ngrade a table of quotes exactly: {statistics.median(taken) * 1e3:.1f} ms")
    print(f"solve the default market:        {statistics.median(solved) * 1e3:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and sizes")
    quick = parser.parse_args().quick
    repeats = 5 if quick else 15
    single(repeats)
    vector(repeats, (1024, 16384) if quick else SIZES)
    grading(repeats)


if __name__ == "__main__":
    main()
