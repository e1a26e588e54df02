"""Corpus to `DocidTable`: every scheme writes the same table and no decoder asks which one did.

A scheme is its config. It never sees a model: vectors come through `DocidInputs`.
"""

from retrograd import quantizers
from retrograd.docids.atomic import Atomic
from retrograd.docids.behaviour import NextItemVectors
from retrograd.docids.inputs import DocidInputs, DocidScheme
from retrograd.docids.kmeans_tree import KMeansTree
from retrograd.docids.learned import LearnedCodes
from retrograd.docids.quantised import Quantised
from retrograd.docids.report import DocidReport, LevelReport, describe_table
from retrograd.docids.strings import RandomStrings
from retrograd.docids.text import TitleText

SCHEMES = (Atomic, RandomStrings, KMeansTree, Quantised, LearnedCodes, TitleText)
"""Every scheme; the test battery runs over all that stand here."""

CONFIGS = (*SCHEMES, NextItemVectors, *quantizers.CONFIGS)
"""What a saved recipe may name."""

__all__ = [
    "CONFIGS",
    "SCHEMES",
    "Atomic",
    "DocidInputs",
    "DocidReport",
    "DocidScheme",
    "KMeansTree",
    "LearnedCodes",
    "LevelReport",
    "NextItemVectors",
    "Quantised",
    "RandomStrings",
    "TitleText",
    "describe_table",
]
