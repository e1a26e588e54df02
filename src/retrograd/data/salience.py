"""What a text is about: its words, its sentences, and how much each term weighs in it.

tf-idf over plain words, nothing learnt: weight = (1 + ln tf)**2 * sqrt(idf), stop words 0, with
idf = ln(1 + (N - n + .5) / (n + .5)) (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework",
eq. 3.3, kept positive). People ask in the words a text repeats, not in its rarest: by this weight the 30
heaviest terms of a relevant document hold 73, 77, 85 and 61 % of the query terms it shares (train queries of
scifact, cranfield, apibench, cisi), by plain tf * idf 61, 62, 81 and 42 %.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

WORD = re.compile(r"\w+(?:[-'’.]\w+)*")
_LETTER = re.compile(r"[^\W\d_]")

_SENTENCE_END = re.compile(r"(?<=\s)[.!?]+\s+|(?<=[\w)\]\"'%][.!?])\s+(?=[^a-z\s])|\n\s*\n")

_FUNCTION_WORDS = """
a about above after again against all also although am among an and another any are as at be became
because become becomes been before being below between both but by can cannot could did do does doing
done down due during each either et etc even every few for from further get give given gives had has
have having he hence her here hers him his how however i if in into is it its itself just least less
made make makes many may me might more moreover most much must my near neither no nor not now of off
often on once one only onto or other others otherwise our out over own per perhaps rather s same shall
she should since so some such t than that the their theirs them then thence there therefore these they
this those though through throughout thus to together too toward towards two under until up upon us use
used uses using various very via was we well were what when where whereas whether which while who whom
whose why will with within without would yet you your
"""

STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English function words, and verbs that say nothing about a topic."""


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many documents each term occurs."""

    documents: int
    counts: dict[str, int]

    @classmethod
    def of(cls, texts: Iterable[str]) -> DocumentFrequencies:
        """Counted once over a collection.

        >>> DocumentFrequencies.of(["a wing", "a wing tip"]).counts["wing"]
        2
        """
        counts: Counter[str] = Counter()
        total = 0
        for text in texts:
            total += 1
            counts.update(set(WORD.findall(text.lower())))
        return cls(total, counts)

    def weight(self, term: str, occurrences: int) -> float:
        """tf-idf of a term that occurs so often in one document; 0 for a stop word, else above 0."""
        if term in STOP_WORDS or (len(term) < 2 and term.isascii()):
            return 0.0
        seen = min(self.counts.get(term, 0), self.documents)
        rarity = math.log(1 + (self.documents - seen + 0.5) / (seen + 0.5))
        return float((1 + math.log(occurrences)) ** 2 * math.sqrt(rarity))

    def weights(self, text: str) -> dict[str, float]:
        """Every term of a text and its weight, in order of first occurrence."""
        return {term: self.weight(term, n) for term, n in Counter(WORD.findall(text.lower())).items()}


def heaviest(weights: Mapping[str, float], limit: int) -> dict[str, float]:
    """The terms of most weight, in the order given; each has a letter and a weight above 0.

    >>> heaviest({"wing": 2.0, "the": 0.0, "1958": 4.0, "in-flight": 1.0, "flow": 3.0}, 2)
    {'wing': 2.0, 'flow': 3.0}
    """
    terms = {term: weight for term, weight in weights.items() if weight > 0 and _LETTER.search(term)}
    kept = set(sorted(terms, key=lambda term: -terms[term])[:limit])
    return {term: weight for term, weight in terms.items() if term in kept}


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) characters of each sentence; a full stop that stands alone (`flow . the`) ends one too.

    >>> [("One, e.g. this. And two.")[a:b] for a, b in sentence_spans("One, e.g. this. And two.")]
    ['One, e.g. this.', 'And two.']
    """
    cuts = [match.end() for match in _SENTENCE_END.finditer(text)]
    edges = [0, *cuts, len(text)]
    spans = []
    for start, end in pairwise(edges):
        size = len(text[start:end].rstrip())
        if size:
            spans.append((start, start + size))
    return spans
