"""What may follow a prefix: a trie, a set of tokens, a permission filter are all one protocol.

Constraints know token ids and, at the end of a prefix, rows of the docid table. They never see
scores, models or texts: `search` joins those. Shapes: R rows (one prefix each), E legal next
tokens of all rows together, V vocabulary.
"""

from retrograd.constraints.allow_list import AllowList, trie_of
from retrograd.constraints.csr_trie import CsrTrie
from retrograd.constraints.intersect import Intersection
from retrograd.constraints.live_trie import LiveTrie
from retrograd.constraints.protocol import Children, Constraint
from retrograd.constraints.token_set import TokenSet

__all__ = [
    "AllowList",
    "Children",
    "Constraint",
    "CsrTrie",
    "Intersection",
    "LiveTrie",
    "TokenSet",
    "trie_of",
]
