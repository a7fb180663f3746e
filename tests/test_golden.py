"""Every registered id still plays its golden trajectories."""

from __future__ import annotations

import pytest

from mmenv.envs.registration import IDS
from tests.golden import TAPES, bound, differences


@pytest.mark.parametrize("tape", TAPES)
@pytest.mark.parametrize("env_id", IDS)
def test_golden_trajectories(env_id: str, tape: str) -> None:
    for name, difference in differences(env_id, tape).items():
        assert difference <= bound(name), name
