"""Texts that every library can take: no lone surrogates, which broken JSON lets in."""

from __future__ import annotations

from collections.abc import Sequence


def encodable(texts: Sequence[str]) -> list[str]:
    r"""The texts with each lone surrogate, which UTF-8 cannot hold, as a question mark.

    >>> encodable(["a\ud800b"])
    ['a?b']
    """
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
