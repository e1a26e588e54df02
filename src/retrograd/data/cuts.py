"""Which interactions may be learnt from and which are to be predicted: the splits of a recommendation set.

Works on the table of interactions alone; `recommendation` turns a cut into queries and judgements.
Leave one out as in Kang and McAuley 2018, section IV; one moment for all users as in Meng et al. 2020,
arXiv:2007.13237, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.data.interactions import Interactions
from retrograd.data.splits import before_moment
from retrograd.errors import InputError


@dataclass(frozen=True, eq=False)
class Parted:
    """Interactions in parts that follow one another in every user's life."""

    splits: tuple[str, ...]
    """Names of the parts to be predicted, in their order."""

    part: np.ndarray
    """(rows,) int64, 0 for the past and n for the n-th of `splits`. What lies before n is its history."""

    learnt: int = 0
    """The last part that may be learnt from; splits up to it are not asked."""

    @property
    def asked(self) -> dict[str, int]:
        """Split -> its part, those that are predicted."""
        return {name: n for n, name in enumerate(self.splits, 1) if n > self.learnt}


@dataclass(frozen=True, kw_only=True)
class LastItems:
    """Each user's last items, one to a split. A user who has no item before one is not asked for it."""

    splits: tuple[str, ...] = ("dev",)
    """The last of them gets the last item."""

    refit: bool = False
    """True: everything before the last split is learnt from, and only the last one is asked."""

    def __call__(self, taken: Interactions) -> Parted:
        """Cut."""
        order = taken.chronological
        count = np.bincount(taken.user, minlength=len(taken.users))
        ends = np.cumsum(count)[taken.user[order]]
        after = ends - 1 - np.arange(len(taken))  # interactions of the same user that come later
        is_target = (after < len(self.splits)) & (count[taken.user[order]] - after > 1)
        part = np.empty(len(taken), np.int64)
        part[order] = np.where(is_target, len(self.splits) - after, 0)
        return Parted(self.splits, part, len(self.splits) - 1 if self.refit else 0)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """All users at the same moments, so that nothing is learnt from anybody's future."""

    splits: tuple[str, ...] = ("dev", "test")

    fraction: float = 0.1
    """Share of the interactions in each split; those of one moment stay together, on the later side."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction * len(self.splits) < 1:
            raise ValueError(f"fraction={self.fraction} leaves nothing before {len(self.splits)} splits")

    def __call__(self, taken: Interactions) -> Parted:
        """Cut.

        Raises:
            InputError: times that only compare within a user.
        """
        if taken.clock != "timestamp":
            raise InputError(
                "to cut all users at one moment, interactions need a `timestamp`; "
                f"these have {taken.clock or 'the order of the file'} only"
            )
        part = np.zeros(len(taken), np.int64)
        for later in range(len(self.splits)):
            part += ~before_moment(taken, self.fraction * (later + 1))
        return Parted(self.splits, part)


Cut = LastItems | Moments

CUTS: dict[str, Cut] = {
    "last": LastItems(),
    "last_two": LastItems(splits=("dev", "test")),
    "last_two_refit": LastItems(splits=("dev", "test"), refit=True),
    "temporal": Moments(),
}
"""The cuts by the names that `load_dataset` and the command line take."""


def cut_named(name: str) -> Cut:
    """The cut of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in CUTS:
        raise InputError(f"no cut is called {name!r:.40}; choose one of {', '.join(CUTS)}")
    return CUTS[name]
