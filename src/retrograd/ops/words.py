"""A text as the words a lexical index counts: one analyser for the index and for all that imitate it.

Knows texts and words; no document, no index and no vector.
"""

from __future__ import annotations

import tantivy

LANGUAGES = (
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "russian", "spanish", "swedish",
)  # fmt: skip
"""Languages for which tantivy has both a Snowball stemmer and a stop-word list."""

MAX_TERM_BYTES = 255
"""Longer tokens (base64, hashes) are left out."""


def check_language(language: str) -> None:
    """Raise ValueError unless `language` is one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise ValueError(f"language={language!r}; choose one of {', '.join(LANGUAGES)}")


def analyzer(language: str) -> tantivy.TextAnalyzer:
    """Alphanumeric runs, lower-cased, without stop words, stemmed (Snowball).

    `analyze` takes UTF-8 only; see `utf8`.

    >>> analyzer("english").analyze("The Wings of flight")
    ['wing', 'flight']
    """
    return _whole_words(language).filter(tantivy.Filter.stemmer(language)).build()


def splitter(language: str) -> tantivy.TextAnalyzer:
    """The same words as they are written: lower-cased, without stop words, not stemmed.

    >>> splitter("english").analyze("The Wings of flight")
    ['wings', 'flight']
    """
    return _whole_words(language).build()


def _whole_words(language: str) -> tantivy.TextAnalyzerBuilder:
    check_language(language)
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(MAX_TERM_BYTES))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.stopword(language))
    )


def utf8(text: str) -> str:
    """The text with lone surrogates as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
