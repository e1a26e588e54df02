"""Imports point down. The floors are what keeps thirty systems from becoming thirty copies."""

import ast
from collections.abc import Iterator

from tests.house.tree import Module, complaints, modules

NOUNS = (
    "errors",
    "progress",
    "types",
    "docid_table",
    "artifacts",
    "document_store",
    "change_log",
    "vector_store",
    "live_folder",
)
"""Floor 0, in the order in which each may import those before it."""

FLOOR_OF = {
    **dict.fromkeys(NOUNS, 0),
    **dict.fromkeys(("ops", "losses", "quantizers", "native"), 1),
    **dict.fromkeys(("docids", "constraints", "models", "indexes", "data"), 2),
    "search": 3,
    **dict.fromkeys(("recipe", "repair", "system", "evaluation"), 4),
    **dict.fromkeys(("training", "updates"), 5),
    "recipes": 6,
    **dict.fromkeys(("cli", "differentiable", "server", "web", "adapters"), 7),
}
TOP = 8  # `import retrograd` and `python -m retrograd`: lazy doors that may name everything
SIBLINGS = {
    ("losses", "ops"),
    ("quantizers", "native"),
    ("quantizers", "ops"),
    ("quantizers", "losses"),
    ("updates", "training"),
    ("system", "recipe"),
    ("system", "repair"),
    ("cli", "server"),
}
FLOOR_0_LIBRARIES = {"numpy", "safetensors", "apsw", "rich"}
TORCH_FREE_AT_TOP = ("data", "evaluation", "cli")
HEAVY = {"torch", "sklearn", "transformers", "faiss", "tantivy", "matplotlib"}


def imported(module: Module, nodes: Iterator[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """(statement, dotted target) of each import; `from x import y` gives `x.y`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.name.split(".")[: -node.level], base]).rstrip(".")
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)


def broken_floors(module: Module) -> list[str]:
    """Imports that point up or sideways, wherever in the file they stand."""
    found, own = [], FLOOR_OF.get(module.part, TOP)
    if module.part not in FLOOR_OF and module.part not in ("", "__main__"):
        found.append(
            f"{module.name}: {module.part!r} stands on no floor; add it to FLOOR_OF here and to architecture"
        )
    for node, target in imported(module, ast.walk(module.tree)):
        package, _, rest = target.partition(".")
        part = rest.partition(".")[0]
        if package != "retrograd" or part in (module.part, "__version__") or own == TOP:
            continue
        other = FLOOR_OF.get(part, TOP)
        if other > own:
            found.append(
                f"{module.at(node)} imports {target}, floor {other}, from floor {own}: imports point down. "
                "Move the shared piece down, or take it as an argument typed by a Protocol of `types`"
            )
        elif other == own and not _siblings_may(module.part, part):
            found.append(
                f"{module.at(node)} imports {target}, a sibling on floor {own}: join them one floor up, "
                "or move what both need down to `types`"
            )
    return found


def _siblings_may(one: str, other: str) -> bool:
    if one in NOUNS:
        return NOUNS.index(other) < NOUNS.index(one)
    return (one, other) in SIBLINGS


def heavy_imports(module: Module) -> list[str]:
    """Libraries that a floor must not know, or not at the top of a file."""
    found = []
    if module.part in NOUNS:
        for node, target in imported(module, ast.walk(module.tree)):
            library = target.partition(".")[0]
            if library in HEAVY or library in {"scipy", "pandas"}:
                found.append(
                    f"{module.at(node)} imports {library}: floor 0 knows {sorted(FLOOR_0_LIBRARIES)} only"
                )
    if module.part in TORCH_FREE_AT_TOP:
        for node, target in imported(module, iter(module.tree.body)):
            if target.partition(".")[0] in HEAVY:
                found.append(
                    f"{module.at(node)} imports {target} at the top: import it in the function that uses it"
                )
    return found


def test_imports_point_down():
    found = [line for module in modules() for line in broken_floors(module)]
    assert not found, complaints(found)


def test_heavy_libraries_stay_where_they_belong():
    found = [line for module in modules() for line in heavy_imports(module)]
    assert not found, complaints(found)


def test_an_import_that_points_up_is_caught_even_inside_a_function():
    bad = Module("retrograd.ops.bad", "def f():\n    from retrograd.search import beam\n")
    assert "bad:2 imports retrograd.search.beam, floor 3, from floor 1" in broken_floors(bad)[0]
    assert broken_floors(Module("retrograd.models.bad", "from retrograd import fit"))
    assert broken_floors(Module("retrograd.models.bad", "from ..search.beam import beam_search"))


def test_an_import_of_a_sibling_is_caught_and_the_exceptions_are_not():
    assert (
        "a sibling on floor 2"
        in broken_floors(Module("retrograd.docids.bad", "import retrograd.models.hf"))[0]
    )
    assert broken_floors(Module("retrograd.types", "from retrograd.docid_table import DocidTable"))
    assert not broken_floors(Module("retrograd.losses.good", "from retrograd.ops import gumbel"))
    assert not broken_floors(Module("retrograd.system", "from retrograd.recipe import Recipe"))
    assert not broken_floors(Module("retrograd.docid_table", "from retrograd.types import State"))


def test_a_package_without_a_floor_is_caught():
    assert "stands on no floor" in broken_floors(Module("retrograd.helpers.bad", ""))[0]


def test_torch_in_a_noun_or_at_the_top_of_a_reader_is_caught():
    assert heavy_imports(Module("retrograd.types", "def f():\n    import torch\n"))
    assert heavy_imports(Module("retrograd.data.bad", "import torch"))
    assert not heavy_imports(Module("retrograd.data.good", "def f():\n    import torch\n"))
