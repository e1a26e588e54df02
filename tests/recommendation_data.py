"""A shop of thirty items in five kinds and forty people who stay with one kind, as files."""

import json
from pathlib import Path

import numpy as np

KINDS = ("soap", "comb", "brush", "scent", "cream")
ITEMS = tuple(f"{kind}{number}" for kind in KINDS for number in range(6))


def lives(seed: int = 0) -> dict[str, list[str]]:
    """User -> items, oldest first: mostly of one kind, each once."""
    rng = np.random.default_rng(seed)
    found = {}
    for user in range(40):
        kind = KINDS[user % len(KINDS)]
        own = [item for item in ITEMS if item.startswith(kind)]
        others = rng.choice([item for item in ITEMS if item not in own], size=2, replace=False).tolist()
        found[f"u{user}"] = rng.permutation([*rng.permutation(own)[:4].tolist(), *others]).tolist()
    return found


def write_shop(folder: Path, users: dict[str, list[str]] | None = None, *, layout: str = "tsv") -> Path:
    """`items.jsonl` with `interactions.tsv`, or RecBole's atomic files (`layout="atomic"`)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(user, item, at) for user, items in (users or lives()).items() for at, item in enumerate(items)]
    titles = {item: f"{item[:-1]} number {item[-1]}" for item in ITEMS}
    if layout == "tsv":
        items = [json.dumps({"id": item, "title": title, "text": ""}) for item, title in titles.items()]
        (folder / "items.jsonl").write_text("\n".join(items) + "\n")
        lines = ["user_id\titem_id\ttimestamp", *("\t".join(map(str, row)) for row in rows)]
        (folder / "interactions.tsv").write_text("\n".join(lines) + "\n")
    else:
        lines = ["item_id:token\ttitle:token_seq", *(f"{item}\t{title}" for item, title in titles.items())]
        (folder / "shop.item").write_text("\n".join(lines) + "\n")
        head = "user_id:token\titem_id:token\ttimestamp:float"
        (folder / "shop.inter").write_text("\n".join([head, *("\t".join(map(str, r)) for r in rows)]) + "\n")
        (folder / "shop.user").write_text("user_id:token\tage:float\nu0\t30\n")
    return folder
