"""Which part of a collection is learnt from and which is kept to judge by.

Pure functions of ids, histories and times; no file, no global random state. A split by hash depends
on each id alone, so adding a document or query never moves another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from retrograd.data.interactions import Interactions
from retrograd.errors import InputError
from retrograd.types import History, Qrels, Query


def hash_fraction(ids: Iterable[str], fraction: float, salt: str = "") -> tuple[str, ...]:
    """The ids that fall into a random part of this size, in the order given.

    Args:
        fraction: expected share, 0 to 1.
        salt: another salt, another independent part. With the same salt a smaller part lies inside a
            larger one.

    >>> hash_fraction("abcdefgh", 0.5)
    ('a', 'b', 'c', 'e', 'g')
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction={fraction} must be between 0 and 1")
    return tuple(value for value in ids if _uniform(value, salt) < fraction)


def _uniform(value: str, salt: str) -> float:
    digest = hashlib.sha256(f"{salt}\0{value}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def tune_cut(queries: Iterable[Query], fraction: float = 0.15) -> tuple[list[Query], list[Query]]:
    """(to learn from, to tune on): the second part is the hashed fraction of the query ids."""
    queries = list(queries)
    kept = set(hash_fraction((query.id for query in queries), fraction, salt="tune"))
    return [q for q in queries if q.id not in kept], [q for q in queries if q.id in kept]


def tune_histories(
    histories: Sequence[History], fraction: float = 0.15
) -> tuple[list[History], tuple[list[Query], Qrels]]:
    """(histories to learn from, users to tune on with what they took last).

    A hashed fraction of the users lose their last item to the second part; no other split is looked at.

    >>> tune_histories([History("u", ("a", "b"))], 1.0)
    ([History(id='u', items=('a',))], ([Query(id='u', text='', history=('a',))], {'u': {'b': 1}}))
    """
    chosen = set(hash_fraction((history.id for history in histories), fraction, salt="tune"))
    shortened, targets = leave_one_out([history for history in histories if history.id in chosen])
    asked = [Query(history.id, "", history.items) for history in shortened if history.id in targets]
    by_user = {history.id: history for history in shortened}
    return [by_user.get(history.id, history) for history in histories], (asked, targets)


def given(ids: Iterable[str], parts: Mapping[str, str]) -> dict[str, list[str]]:
    """Part -> its ids in the order given, where the data itself says which part an id is in.

    Raises:
        InputError: an id that has no part.

    >>> given("abc", {"a": "train", "b": "dev", "c": "train"})
    {'train': ['a', 'c'], 'dev': ['b']}
    """
    found: dict[str, list[str]] = {}
    for value in ids:
        if value not in parts:
            raise InputError(f"id {value!r:.80} is in no part of the given split")
        found.setdefault(parts[value], []).append(value)
    return found


def disjoint_folds(qrels: Qrels, count: int, salt: str = "") -> list[Qrels]:
    """Judgements in parts of about equal size, no relevant document in two of them.

    Queries that share a relevant document, over any number of others, stay together: what was learnt
    from one part then says nothing about the documents another asks for.

    Args:
        count: number of parts, at least 2. Larger groups are dealt first, each to the smallest part.
        salt: another salt, another deal among groups of one size.

    >>> [sorted(part) for part in disjoint_folds({"p": {"a": 1}, "q": {"a": 1, "b": 1}, "r": {"c": 1}}, 2)]
    [['p', 'q'], ['r']]
    """
    if count < 2:
        raise InputError(f"count={count} must be at least 2")
    first: dict[str, str] = {}
    leader = {query: query for query in qrels}

    def head(query: str) -> str:
        while leader[query] != query:
            query = leader[query]
        return query

    for query, grades in qrels.items():
        for document in (document for document, grade in grades.items() if grade > 0):
            leader[head(query)] = head(first.setdefault(document, query))
    groups: dict[str, list[str]] = {}
    for query in qrels:
        groups.setdefault(head(query), []).append(query)
    folds: list[dict[str, Mapping[str, int]]] = [{} for _ in range(count)]
    for group in sorted(groups.values(), key=lambda group: (-len(group), _uniform(min(group), salt))):
        min(folds, key=len).update({query: qrels[query] for query in group})
    return list(folds)


def leave_one_out(histories: Sequence[History]) -> tuple[list[History], Qrels]:
    """(histories without their last item, user -> that item as the one relevant document).

    A history of one item is kept whole: it has nothing to predict from.

    >>> leave_one_out([History("u", ("a", "b")), History("v", ("a",))])
    ([History(id='u', items=('a',)), History(id='v', items=('a',))], {'u': {'b': 1}})
    """
    shortened = [h if len(h.items) < 2 else History(h.id, h.items[:-1]) for h in histories]
    return shortened, {h.id: {h.items[-1]: 1} for h in histories if len(h.items) > 1}


def temporal(interactions: Interactions, fraction: float = 0.1) -> tuple[list[History], Qrels]:
    """Cut all users at one moment, so that no model learns from anybody's future.

    Args:
        fraction: share of the rows that lies at or after the cut; rows of one moment stay together,
            on the later side.

    Returns: (histories before the cut, user -> items taken from the cut on). Users without a past are
    left out of the second.

    >>> rows = [("u", "a", 1.0, 1.0), ("u", "b", 9.0, 1.0), ("v", "b", 9.0, 1.0)]
    >>> temporal(Interactions.from_rows(rows), 0.5)
    ([History(id='u', items=('a',))], {'u': {'b': 1}})
    """
    earlier = before_moment(interactions, fraction)
    past = interactions.histories(earlier)
    known = {history.id for history in past}
    future = interactions.histories(~earlier)
    return past, {h.id: dict.fromkeys(h.items, 1) for h in future if h.id in known}


def before_moment(interactions: Interactions, fraction: float) -> np.ndarray:
    """(rows,) bool: what came before the moment that leaves this share of the rows at or after it.

    Raises:
        InputError: a fraction outside (0, 1), or no row.
    """
    if not 0 < fraction < 1:
        raise InputError(f"fraction={fraction} must lie between 0 and 1")
    if not len(interactions):
        raise InputError("there is no interaction to split")
    place = min(int(len(interactions) * (1 - fraction)), len(interactions) - 1)
    earlier: np.ndarray = interactions.time < np.sort(interactions.time)[place]
    return earlier
