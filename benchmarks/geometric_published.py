"""The ablation that the authors of the differentiable index report, and how far their pattern shows here.

Their figures stand apart from ours and are labelled; nothing of theirs was reproduced.
"""

from __future__ import annotations

from report import Cells, adjusted, markdown, paired

HIT = "Success@10"
"""What papers on one relevant item call HitRate@10."""

ABLATION_CLAIMS = ("product search dev", "product search dev_seen", "scifact dev")
AUTHORS = (
    "Wang et al., 2026 (arXiv 2603.10409), their ablation: T5-large, one run, no intervals, other data. "
    "Their cross for soft gradients does not say whether it means straight-through or detached. Some figures "
    "contradict others in the paper: N@20 above H@20 in the last row cannot be with one relevant item; H@1 "
    "of the third row of AE-PV is printed as 0.099; the row without cosine equals, on AE-PV, that of another "
    "system in their main table."
)
PATTERN = (
    "HitRate@10 less that of the full method. The first two columns are computed from the table above; the "
    "others are measured."
)
PUBLISHED = (
    ("gumbel", "full", (0.5651, 0.7752, 0.7980, 0.6812, 0.0149, 0.0915, 0.1417, 0.0594)),
    ("ste / detached", "no soft", (0.5216, 0.7513, 0.7762, 0.6501, 0.0101, 0.0524, 0.0813, 0.0302)),
    ("gumbel, own heads", "no sharing", (0.5282, 0.7561, 0.7804, 0.6603, 0.0099, 0.0573, 0.0896, 0.0311)),
    (
        "ste / detached, own heads",
        "neither",
        (0.5193, 0.7504, 0.7709, 0.6485, 0.0097, 0.0426, 0.0606, 0.0284),
    ),
    ("gumbel, dot", "no cosine", (0.3768, 0.5242, 0.5445, 0.4573, 0.0108, 0.0652, 0.1012, 0.0425)),
    (
        "ste / detached, own heads, dot",
        "none",
        (0.0531, 0.0859, 0.0969, 0.1171, 0.0002, 0.0004, 0.0005, 0.0005),
    ),
)
"""Our cells, the paper's row, and its figures: arXiv 2603.10409, table of ablations."""


def published_table() -> str:
    """The paper's ablation as it printed it."""
    columns = [f"{data} {m}" for data in ("AOL4PS", "AE-PV") for m in ("H@1", "H@10", "H@20", "N@20")]
    rows = [[row, f"`{ours}`", *(f"{value:.4f}" for value in figures)] for ours, row, figures in PUBLISHED]
    return markdown(["authors' row", "our cell", *columns], rows)


def pattern_table(own: Cells) -> str:
    """HitRate@10 less that of the full method: what the authors print, then what was measured here."""
    full = PUBLISHED[0][2]
    cells = [(row, ours, figures) for ours, row, figures in PUBLISHED[1:]]
    pairs = [
        (row, option, figures)
        for row, ours, figures in cells
        for option in (ours.replace("ste / detached", path) for path in ("ste", "detached"))
        if "ste / " in ours or option == ours
    ]
    pairs = list(dict.fromkeys(pairs))
    tests = adjusted(
        {
            (name, claim): paired(own.get((claim, name), ()), own.get((claim, "gumbel"), ()), measure=HIT)
            for _, name, _ in pairs
            for claim in ABLATION_CLAIMS
        }
    )
    rows = [
        [
            row,
            f"`{name}`",
            f"{published[1] - full[1]:+.3f}",
            f"{published[5] - full[5]:+.3f}",
            *(tests[name, claim] for claim in ABLATION_CLAIMS),
        ]
        for row, name, published in pairs
    ]
    reported = ["AOL4PS (authors)", "AE-PV (authors)"]
    return markdown(["authors' row", "our cell", *reported, *ABLATION_CLAIMS], rows)
