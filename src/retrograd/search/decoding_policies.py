"""Ways to decode docids other than a beam, as search configs.

Joins model, table and trie into the `Searcher` protocol, as `generative` does for the beam; the loops
themselves are in `best_first`, `diverse` and `sampling`. Shapes: B queries of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from retrograd.constraints import CsrTrie
from retrograd.search.beam import BeamResult
from retrograd.search.best_first import best_first
from retrograd.search.diverse import diverse_beam
from retrograd.search.engine import check_engine, engine_of, search_keys
from retrograd.search.generative import GenerativeSearcher, check_settings, decoded_parts
from retrograd.search.parts import Parts
from retrograd.search.resolve import Resolver
from retrograd.search.sampling import rising_temperatures, sample_keys


@dataclass(frozen=True, kw_only=True)
class BestFirst:
    """Best-first search over legal docids: a beam, then the proof that nothing better exists, or what is.

    The answer is never worse than the beam's. Whether it was proven stands in `BeamResult.exact`, which
    `search.trace` shows.
    """

    width: int = 20
    """Beams of the first look. It changes how fast the best is found, not what that is."""

    expansions: int = 32
    """Prefixes of a query that grow in one step."""

    most_steps: int = 100
    """Steps of a query at most; then the best so far is answered, unproven. Flat models need many."""

    normalise: str = "level"
    """As in `Beam`, but for raw logits, which bound nothing."""

    batch_size: int = 32
    """Queries encoded together; changes speed, not answers."""

    engine: str = "auto"
    """As in `Beam`; of the first look."""

    def __post_init__(self) -> None:
        if min(self.width, self.expansions) < 1 or self.most_steps < 0:
            raise ValueError("width and expansions must be at least 1, most_steps 0")
        if self.normalise == "none":
            raise ValueError("normalise='none': raw logits bound nothing; choose 'level' or 'children'")
        check_engine(self.engine)
        check_settings(self.normalise, self.batch_size)

    def build(self, parts: Parts) -> GenerativeSearcher:
        """Ready to answer; builds the trie.

        Raises:
            ValueError: the system has no docids or no model.
        """
        model, table = decoded_parts(parts)
        trie = CsrTrie.from_table(table)

        def find(inputs: dict[str, Tensor], count: int) -> BeamResult:
            width, mode = max(self.width, count), self.normalise
            beam = search_keys(model, inputs, trie, width=width, normalise=mode, engine=self.engine)
            return best_first(
                model,
                inputs,
                trie,
                count=count,
                expansions=self.expansions,
                most_steps=self.most_steps,
                normalise=mode,
                hint=beam.keys,
            )

        engine, size = engine_of(self.engine, model, trie), self.batch_size
        return GenerativeSearcher(model, Resolver(table), find, batch_size=size, engine=engine)


@dataclass(frozen=True, kw_only=True)
class DiverseBeam:
    """Beam search in groups that avoid each other's tokens: lists of less alike docids, in torch."""

    width: int = 20
    """Beams of all groups together."""

    groups: int = 4
    """At most `width`. The first searches as if it were alone."""

    penalty: float = 0.5
    """In units of log-probability; see `diverse.diverse_beam`. 0 makes all groups alike."""

    normalise: str = "level"
    """As in `Beam`."""

    batch_size: int = 32
    """Queries decoded together; changes speed, not answers."""

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.width or self.penalty < 0:
            raise ValueError("groups must be between 1 and width, penalty not negative")
        check_settings(self.normalise, self.batch_size)

    def build(self, parts: Parts) -> GenerativeSearcher:
        """Ready to answer; builds the trie.

        Raises:
            ValueError: the system has no docids or no model.
        """
        (model, table), trie = decoded_parts(parts), parts.trie

        def find(inputs: dict[str, Tensor], count: int) -> BeamResult:
            share = -(-max(self.width, count) // self.groups)
            return diverse_beam(
                model,
                inputs,
                trie,
                width=count if count == len(table) else share,  # all keys, where all are asked for
                groups=self.groups,
                penalty=self.penalty,
                normalise=self.normalise,
            )

        return GenerativeSearcher(model, Resolver(table), find, batch_size=self.batch_size)


@dataclass(frozen=True, kw_only=True)
class AnnealedSampling:
    """Docids drawn without repeats, the first greedily and each later one at a higher temperature.

    Documents are ranked in the order drawn, and their score is minus the number of draws before them.
    Draws depend on the seed and the query, not on the other queries nor on how many answers are wanted.
    """

    rounds: int = 100
    """The temperature rises over so many draws; later ones keep the highest."""

    hottest: float = 1.5
    """The highest temperature."""

    steepness: float = 10.0
    """Of the rise; see `sampling.rising_temperatures`."""

    middle: float = 0.1
    """Share of the rounds after which the rise is steepest."""

    seed: int = 0

    batch_size: int = 32
    """Queries decoded together; changes speed, not answers."""

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.hottest < 0 or self.steepness <= 0:
            raise ValueError("rounds must be at least 1, hottest not negative, steepness above 0")
        check_settings("level", self.batch_size)

    def temperatures(self, draws: int) -> list[float]:
        """Of so many draws."""
        rising = rising_temperatures(
            self.rounds, hottest=self.hottest, steepness=self.steepness, middle=self.middle
        )
        return [*rising, *[self.hottest] * (draws - self.rounds)][:draws]

    def build(self, parts: Parts) -> GenerativeSearcher:
        """Ready to answer; builds the trie.

        Raises:
            ValueError: the system has no docids or no model.
        """
        model, table = decoded_parts(parts)
        trie = CsrTrie.from_table(table)

        def find(inputs: dict[str, Tensor], count: int) -> BeamResult:
            generator = torch.Generator(next(iter(inputs.values())).device).manual_seed(self.seed)
            drawn = sample_keys(
                model, inputs, trie, temperatures=self.temperatures(count), generator=generator, alike=True
            )
            order = torch.arange(drawn.keys.shape[1], device=drawn.keys.device).to(drawn.scores.dtype)
            return replace(drawn, scores=-order.expand_as(drawn.scores))

        return GenerativeSearcher(model, Resolver(table), find, batch_size=self.batch_size)
