"""Every registered id still plays its golden trajectories."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmenv.envs.registration import IDS
from tests.golden import TAPES, bound, differences

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("tape", TAPES)
@pytest.mark.parametrize("env_id", IDS)
def test_golden_trajectories(env_id: str, tape: str, claim: Callable[..., None]) -> None:
    for name, difference in differences(env_id, tape).items():
        kind = "counts" if bound(name) == 0 else "observations" if name == "observation" else "prices, rewards"
        claim(f"golden trajectories of {env_id}: {kind}", "1-4, 11", difference, bound(name))
