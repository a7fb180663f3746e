"""What a run folder can keep: markets and objectives of the suite, however they were given; none of one's own."""

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("torch")

from mmenv import ExponentialUtility, Market, Objective, Problem
from train.config import TrainingConfig


@dataclass(frozen=True)
class Cubic(Objective):
    """An objective that no run folder knows."""

    weight: float = 0.1

    def running_penalty(self, inventory):
        return self.weight * np.abs(np.asarray(inventory, dtype=float)) ** 3


def test_instances_are_kept_as_the_values_that_make_them_again():
    market, objective = Market(steps=50), ExponentialUtility(0.5)
    config = TrainingConfig(env_kwargs={"market": market, "objective": objective})
    again = TrainingConfig(**config.to_dict())
    assert again == config
    assert again.problem == Problem(market, objective, "surrogate")


def test_an_objective_of_ones_own_is_refused_before_training():
    with pytest.raises(ValueError, match=r"a run folder holds no code .* grade it with mmenv.grade") as refused:
        TrainingConfig(env_kwargs={"objective": Cubic()})
    assert "\n" not in str(refused.value)
