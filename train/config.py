"""The configuration of a training run: one dataclass, from which come the flags, their help and the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from agents.checkpoint import LARGEST_LAYER, MOST_LAYERS
from mmenv import Market, Objective, Problem, _validate
from mmenv.envs.registration import IDS
from mmenv.objectives import OBJECTIVES


def _option(default: Any, text: str, *flags: str, **rules: Any) -> Any:
    """A field with its help, its flags (--name by default) and the rules its value must obey."""
    return field(default=default, metadata={"help": text, "flags": flags, "rules": rules})


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a run computes. Two runs of one configuration give equal weights.

    Depths are in units of 1/k and times in expected fills, so the defaults hold in any market.

    Raises:
        TypeError, ValueError: a field is out of its range; the message names field, value and range.
    """

    env: str = _option("mmenv/AvellanedaStoikov-v0", "id of the environment")
    env_kwargs: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "its keyword arguments, as JSON or as name:value ...", "flags": (), "rules": {}},
    )
    tape: str = _option("", "recorded tape to train on, a file of mmenv-calibrate (default: sessions of the market)")
    seed: int = _option(0, "seed of networks, noise and market", at_least=0, at_most=2**32 - 1)
    n_timesteps: int = _option(7_168_000, "transitions to train on", "-n", "--n-timesteps", at_least=1)
    log_folder: str = _option("runs", "where the run folder is made", "-f", "--log-folder")
    tensorboard_log: bool = _option(False, "write TensorBoard logs into the run folder", "-tb", "--tensorboard-log")
    eval_freq: int = _option(
        400_000, "transitions between exact grades, checkpoints and rows of progress.csv", at_least=1
    )
    threads: int = _option(1, "threads of torch and of numpy's matrix products", at_least=1, at_most=1024)

    rollout_size: int = _option(
        0,
        "transitions per rollout, rounded to whole sessions; 0 for 25,600, or a hundredth of a short run",
        at_least=0,
        at_most=10**7,
    )
    batch_size: int = _option(0, "transitions per minibatch; 0 for a twentieth of a rollout", at_least=0)
    n_epochs: int = _option(2, "passes over a rollout", at_least=1)
    learning_rate: float = _option(5e-3, "Adam's step size at the start; it falls linearly to 0", above=0)
    gae_horizon: float = _option(1.0, "horizon of GAE, in expected fills per side", above=0)
    expected_next_value: bool = _option(
        True, "average the critic's next value over the fills that the quotes might have had, as the reward is"
    )
    clip_range: float = _option(0.2, "PPO's clip range", above=0)
    vf_coef: float = _option(0.5, "weight of the critic's loss", above=0)
    max_grad_norm: float = _option(1.0, "largest norm of a gradient", above=0)
    hidden: tuple[int, ...] = _option(
        (32, 32), "widths of the hidden layers of actor and critic", at_least=1, at_most=LARGEST_LAYER
    )
    fold: bool = _option(True, "use the symmetry of the market: see |q|, swap the sides where q < 0")
    noise_start: float = _option(0.55, "standard deviation of the noise on depths at the start [1/k]", above=0)
    noise_end: float = _option(0.02, "standard deviation of the noise on depths at the end [1/k]", above=0)
    centre_rate: float = _option(0.3, "how fast the constant that centres rewards follows their mean", at_least=0)
    average_last: float = _option(0.05, "share of the run, at its end, whose weights are averaged", at_least=0)

    def __post_init__(self) -> None:
        for entry in fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))
        object.__setattr__(self, "env_kwargs", _as_kept(self.env_kwargs))
        self.problem  # noqa: B018  (refuses what the environment would refuse)

    @property
    def problem(self) -> Problem:
        """What is trained on: the id's problem with its keyword arguments, paid in the least noisy reward form."""
        kwargs = {**IDS[self.env], **self.env_kwargs}
        if "reward" not in kwargs:
            problem = Problem.from_arguments(**kwargs)
            best = "surrogate" if problem.objective.risk_aversion > 0 else "expected"
            kwargs["reward"] = "realised" if self.tape else best
        return Problem.from_arguments(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `TrainingConfig(**values)` reads them back."""
        return asdict(self) | {"hidden": list(self.hidden)}


def _as_kept(env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of an environment as a run folder keeps them: markets and objectives as plain values.

    Raises:
        ValueError: the objective is one of your own.
    """
    objective = env_kwargs.get("objective")
    if isinstance(objective, Objective) and OBJECTIVES.get(objective.name) is not type(objective):
        raise ValueError(
            f"objective must be one of {', '.join(OBJECTIVES)}, got {objective!r}: a run folder holds no code and "
            f"cannot keep one of your own; train it with Stable-Baselines3 on mmenv.envs.MarketMakingVecEnv and grade "
            f"it with mmenv.grade"
        )
    kept = {key: value.to_dict() for key, value in env_kwargs.items() if isinstance(value, Market | Objective)}
    return {**env_kwargs, **kept}


LARGEST_ROLLOUT, LEAST_ROLLOUTS, MINIBATCHES = 25_600, 100, 20  # of a configuration that leaves these open

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "standard": {"n_timesteps": 40_960_000, "eval_freq": 2_000_000},
    "thorough": {"n_timesteps": 81_920_000, "eval_freq": 4_000_000},
}


def from_preset(preset: str, changes: Mapping[str, Any]) -> TrainingConfig:
    """The configuration of a preset, with `changes` on top.

    Raises:
        TypeError, ValueError: an unknown preset or field, or a value out of its range.
    """
    _validate.choice("preset", preset, PRESETS)
    known = [entry.name for entry in fields(TrainingConfig)]
    for name in changes:
        _validate.choice("configuration field", name, known)
    return TrainingConfig(**{**PRESETS[preset], **changes})


def _checked(entry: Any, value: Any) -> Any:
    """A field's value, or an error that names field, value and range."""
    name, rules, default = entry.name, entry.metadata["rules"], entry.default
    if isinstance(default, str) and not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {value!r}")
    if name == "env":
        return _validate.choice("env", value if value in IDS else f"mmenv/{value}", IDS)
    if name == "env_kwargs" and not isinstance(value, Mapping):
        raise TypeError(f"env_kwargs must be names with values, got {value!r}")
    if name == "hidden":
        if not isinstance(value, list | tuple) or len(value) > MOST_LAYERS:
            raise ValueError(f"hidden must be at most {MOST_LAYERS} widths, got {value!r:.80}")
        return tuple(_validate.integer("hidden", width, **rules) for width in value)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be true or false, got {value!r}")
    elif isinstance(default, int):
        return _validate.integer(name, value, **rules)
    elif isinstance(default, float):
        return _validate.real(name, value, **rules)
    return value
