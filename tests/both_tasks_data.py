"""The shop of `recommendation_data` whose people asked for what they took: a search set with its log."""

import json
from pathlib import Path

from tests.recommendation_data import ITEMS, lives, write_shop

WORDS = {"soap": "wash", "comb": "untangle", "brush": "bristles", "scent": "perfume", "cream": "moisturise"}
"""Kind -> a word that is asked for it: its items' text says it, their titles do not."""


def write_searched_shop(folder: Path) -> tuple[Path, Path]:
    """A folder with `corpus`, `queries`, `qrels` and `search_log`, and the table of interactions beside it.

    Everybody asked by the word of the kind for all they took; each one's last purchase is the target `dev`.
    """
    write_shop(folder.parent / f"{folder.name}-taken")
    (folder / "qrels").mkdir(parents=True)
    titles = {item: f"{item[:-1]} number {item[-1]}" for item in ITEMS}
    corpus = [
        json.dumps({"_id": item, "title": title, "text": WORDS[item[:-1]]}) for item, title in titles.items()
    ]
    (folder / "corpus.jsonl").write_text("\n".join(corpus) + "\n")
    queries = [json.dumps({"_id": f"q-{kind}", "text": word}) for kind, word in WORDS.items()]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    log, pairs = ["user_id\tquery_id\titem_id\torder\tpart"], {"train": {}, "dev": {}}
    for user, items in lives().items():
        for order, item in enumerate(items):
            part = "dev" if order == len(items) - 1 else "train"
            query = f"q-{item[:-1]}"
            log.append(f"{user}\t{query}\t{item}\t{order}\t{part}")
            pairs[part][query, item] = pairs[part].get((query, item), 0) + 1
    (folder / "search_log.tsv").write_text("\n".join(log) + "\n")
    for part, found in pairs.items():
        rows = [f"{query}\t{item}\t{count}" for (query, item), count in found.items()]
        lines = ["query-id\tcorpus-id\tscore", *rows]
        (folder / "qrels" / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    return folder, folder.parent / f"{folder.name}-taken" / "interactions.tsv"
