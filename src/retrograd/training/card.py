"""The model card a fitted system carries: what it is, what it saw, how training went.

Reads only what the fit recorded; measures nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrograd import artifacts
from retrograd.evaluation.plots import plot_training
from retrograd.recipe import Recipe

_USE = """## Use

```python
import retrograd

system = retrograd.load("this-folder")
system.search("your question", k=10)
```
"""


def write_card(folder: Path, recipe: Recipe, info: Mapping[str, Any]) -> None:
    """Write `README.md` (and `training.png` where something was trained) into a system's folder.

    Args:
        info: what the manifest will hold: dataset, seed, measures, docids, stages, versions.
    """
    metrics = folder / "metrics.jsonl"
    picture = ""
    if metrics.exists():
        plot_training(metrics, folder / "training.png")
        picture = "\n![loss and tune measure over the steps](training.png)\n"
    sections = [
        f"# {recipe.name}\n\n{recipe.summary}\n",
        _facts(info),
        _measures(info["measures"]),
        _training(info["stages"]) + picture,
        _docids(info["docids"]),
        f"## Recipe\n\n```json\n{json.dumps(info['recipe_value'], indent=2)}\n```\n",
        _USE,
    ]
    artifacts.write_bytes_atomic(folder / "README.md", "\n".join(s for s in sections if s).encode())


def _facts(info: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    return (
        f"Fitted on `{info['dataset']}`, split `{info['train_split']}`, seed {info['seed']}, "
        f"in {info['seconds']} s with {versions}.\n"
    )


def _measures(measures: Mapping[str, float]) -> str:
    if not measures:
        return ""
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in measures.items())
    return (
        "## Quality on the tune part\n\nTrain queries kept out of training; their documents may have been "
        f"trained on, so this is no claim about new queries.\n\n| measure | value |\n|---|---|\n{rows}\n"
    )


def _training(stages: list[Mapping[str, Any]]) -> str:
    if not stages:
        return ""
    head = "| stage | " + " | ".join(stages[0]) + " |\n" + "|---" * (len(stages[0]) + 1) + "|\n"
    rows = "".join(
        f"| {at} | " + " | ".join(_short(value) for value in stage.values()) + " |\n"
        for at, stage in enumerate(stages)
    )
    return f"## Training\n\n{head}{rows}"


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _docids(lines: list[str]) -> str:
    return "## Docids\n\n```\n" + "\n".join(lines) + "\n```\n" if lines else ""
