"""The source tree as the ratchets see it: dotted module names, parsed once, nothing imported."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"


@dataclass(frozen=True)
class Module:
    """One file of `src/`, or an example written in a test."""

    name: str
    """Dotted, as it is imported: `retrograd.search.beam`; a package's `__init__` has the package's name."""

    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @property
    def part(self) -> str:
        """What stands directly below `retrograd`: `search`, `recipe`; empty for the package itself."""
        return self.name.partition(".")[2].partition(".")[0]

    def at(self, node: ast.AST) -> str:
        """`module:line`, for messages."""
        return f"{self.name}:{getattr(node, 'lineno', 1)}"


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path.read_text(encoding="utf-8")))
    return tuple(found)


def complaints(lines: list[str]) -> str:
    """Assertion text: one complaint a line."""
    return "\n" + "\n".join(lines)
