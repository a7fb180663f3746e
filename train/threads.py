"""How many threads the arithmetic may use: torch's, and those of the libraries that multiply numpy's matrices."""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits


def use_threads(count: int) -> None:
    """Limit every pool of threads to `count`, >= 1, from now on.

    The networks are small: on a busy machine two threads, which wait for each other, are far slower than one.
    """
    torch.set_num_threads(count)
    threadpool_limits(count)
