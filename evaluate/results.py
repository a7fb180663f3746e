"""All that a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evaluate import text
from evaluate.advantage import AdvantageMap, advantage_map
from evaluate.ladder import Ladder, Standing
from evaluate.recording import Replay
from evaluate.runs import Run
from evaluate.streaming import EVALUATION_STREAMS
from mmenv.simulation import Paths, simulate
from mmenv.tape import Tape


@dataclass(frozen=True)
class Featured:
    """A policy that gets pictures of its own: an agent's middle seed, or a formula where there is no agent.

    Attributes:
        standing: its results.
        name: what titles call it.
        slug: what its files are called by.
    """

    standing: Standing
    name: str
    slug: str


@dataclass(frozen=True)
class Results:
    """All that a report is made of.

    Attributes:
        ladder: the standings.
        runs: the trained agents, as they were loaded.
        command: the command that makes this report.
        replay: the policies on a recording, where one was given.
    """

    ladder: Ladder
    runs: Sequence[Run] = ()
    command: str = ""
    replay: Replay | None = None
    _maps: dict[str, AdvantageMap] = field(default_factory=dict, repr=False)

    @cached_property
    def featured(self) -> list[Featured]:
        """Each agent's middle seed; without agents the famous formula, or else the best baseline."""
        found = []
        for number, (group, standings) in enumerate(text.seed_groups(self.ladder).items(), start=1):
            middle = sorted(standings, key=lambda standing: standing.grade.gap)[(len(standings) - 1) // 2]
            slug = "agent" if number == 1 else f"agent{number}"
            found.append(Featured(middle, middle.label if len(standings) > 1 else group, slug))
        baselines = [s for s in self.ladder.standings if s.entrant.kind == "baseline"]
        if not found and baselines:
            chosen = self.ladder.find("as") or baselines[-1]
            found.append(Featured(chosen, chosen.label, "formula"))
        return found

    def losses(self, standing: Standing) -> AdvantageMap:
        """The advantage map of a policy, remembered."""
        if standing.label not in self._maps:
            self._maps[standing.label] = advantage_map(self.ladder.solution, standing.grade.quotes)
        return self._maps[standing.label]

    def session(self, standing: Standing) -> tuple[Paths, Paths]:
        """One session of a policy and of the optimum, on the first column of the evaluation's tape."""
        market = self.ladder.problem.market
        tape = Tape.draw(market, 1, EVALUATION_STREAMS + self.ladder.seed)
        return simulate(market, standing.grade.quotes, tape), simulate(market, self.ladder.solution.quotes, tape)

    @property
    def positive(self) -> bool:
        """Whether gaps can be told in percent of the optimum."""
        return self.ladder.solution.optimum > 0
