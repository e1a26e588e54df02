"""The shared library: where it lies, whether it fits, and what its functions take.

Mirrors `source/native.h` field by field. Knows no models; `decoder` and `trie` check what they pass.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path

from retrograd.native.build import LIBRARY

LAYOUT = 3
"""Version of the structures below; a library of another one is not used."""

PRECISIONS = ("fp32", "bf16", "int8")
"""What weights can be kept in, in the order of the core's constants."""

LAYER_MATRICES = (
    "own_norm", "qkv", "own_out", "cross_norm", "query", "key_value", "cross_out",
    "feed_norm", "wide", "narrow",
)  # fmt: skip


class LayerStructure(Structure):
    """Pointers to one layer's arrays."""

    _fields_ = tuple((name, c_void_p) for name in LAYER_MATRICES)


class ModelStructure(Structure):
    """Sizes and arrays of a decoder."""

    _fields_ = (
        *((name, c_int32) for name in ("width", "num_layers", "heads", "head_width")),
        *((name, c_int32) for name in ("feed_forward", "gated", "depth")),
        *((name, c_float) for name in ("epsilon", "output_scale")),
        ("precision", c_int32),
        ("table_rows", c_int64),
        *((name, c_void_p) for name in ("level_sizes", "level_rows", "begin", "embedding", "output")),
        *((name, c_void_p) for name in ("final_norm", "position_bias")),
        ("layers", POINTER(LayerStructure)),
    )


class TrieStructure(Structure):
    """Arrays of a trie and of what is grafted onto it."""

    _fields_ = (
        *((name, c_int64) for name in ("num_nodes", "num_keys", "base_nodes")),
        *((name, c_void_p) for name in ("first_edge", "token")),
        *((name, c_int32) for name in ("token_bytes", "num_grafted")),
        *((name, c_void_p) for name in ("key_of_node", "live")),
        *((name, c_void_p) for name in ("graft_edge", "graft_token", "graft_key", "graft_live")),
    )


class RequestStructure(Structure):
    """The encoded queries and how to search."""

    _fields_ = (
        *((name, c_int64) for name in ("batch", "slots")),
        *((name, c_void_p) for name in ("memory", "where", "prior")),
        *((name, c_int32) for name in ("width", "normalise", "threads", "block_rows")),
    )


class TextsStructure(Structure):
    """Tokens to encode and where the states go."""

    _fields_ = (
        *((name, c_int64) for name in ("batch", "slots")),
        *((name, c_void_p) for name in ("tokens", "where", "position_bias", "states")),
        *((name, c_int32) for name in ("threads", "block_rows")),
    )


class PointsStructure(Structure):
    """Points, the centres they are compared with, and where the nearest go."""

    _fields_ = (
        ("count", c_int64),
        *((name, c_int32) for name in ("width", "num_centres")),
        *((name, c_void_p) for name in ("points", "centres", "offset", "nearest", "gap")),
    )


class AnswersStructure(Structure):
    """Where the answers go."""

    _fields_ = tuple((name, c_void_p) for name in ("keys", "scores", "paths", "steps", "found"))


class Library:
    """A loaded library.

    Raises:
        OSError: it cannot be loaded, or was built from other sources.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._c = ctypes.CDLL(str(path))
        for name, result, arguments in (
            ("layout", c_int, []),
            ("engine", c_void_p, [c_int]),
            ("name", c_char_p, [c_void_p]),
            ("create", c_void_p, [c_void_p, POINTER(ModelStructure)]),
            ("destroy", None, [c_void_p, c_void_p]),
            ("bytes", c_int64, [c_void_p, c_void_p]),
            (
                "search",
                c_int,
                [c_void_p, c_void_p]
                + [POINTER(part) for part in (TrieStructure, RequestStructure, AnswersStructure)],
            ),
            ("encode", c_int, [c_void_p, c_void_p, POINTER(TextsStructure)]),
            ("nearest", c_int, [c_void_p, POINTER(PointsStructure)]),
        ):
            try:
                function = getattr(self._c, f"retrograd_{name}")
            except AttributeError:
                raise OSError(f"{path} has no function retrograd_{name}; install the package again") from None
            function.restype, function.argtypes = result, arguments
        if self._c.retrograd_layout() != LAYOUT:
            raise OSError(f"{path} was built from other sources; install the package again")
        self.targets: dict[str, int] = {}
        """Processor targets this machine can run, best first, and the engine of each."""
        while engine := self._c.retrograd_engine(len(self.targets)):
            self.targets[self._c.retrograd_name(engine).decode()] = engine

    def pack(self, weights: ModelStructure, target: str | None = None) -> Packed:
        """A model that holds packed copies of all arrays.

        Args:
            target: one of `targets`; None is the best.

        Raises:
            ValueError: no such target.
            MemoryError: there was none.
        """
        name = self._known(target)
        return Packed(self._c, name, self.targets[name], weights)

    def nearest(self, points: PointsStructure, target: str | None = None) -> None:
        """Fill the nearest centres and their gaps; other Python threads go on running.

        Args:
            target: as in `pack`.

        Raises:
            ValueError: no such target.
            MemoryError: there was none.
        """
        if self._c.retrograd_nearest(self.targets[self._known(target)], ctypes.byref(points)):
            raise MemoryError("no memory for the packed centres")

    def _known(self, target: str | None) -> str:
        name = next(iter(self.targets)) if target is None else target
        if name not in self.targets:
            raise ValueError(f"target={target!r}; this processor runs {', '.join(self.targets)}")
        return name


class Packed:
    """Weights inside the core. Calls leave other Python threads running; several may run at once.

    Raises:
        MemoryError: there was none, here as in every call.
    """

    def __init__(self, functions: ctypes.CDLL, target: str, engine: int, weights: ModelStructure) -> None:
        self.target = target
        self._c, self._engine = functions, engine
        self._handle = functions.retrograd_create(engine, ctypes.byref(weights))
        if not self._handle:
            raise MemoryError("no memory for the packed weights")
        weakref.finalize(self, functions.retrograd_destroy, engine, self._handle)
        self.num_bytes: int = functions.retrograd_bytes(engine, self._handle)
        """Memory of the weights and of what was computed from them beforehand."""

    def search(self, trie: TrieStructure, request: RequestStructure, answers: AnswersStructure) -> None:
        """Fill the answers."""
        structures = (ctypes.byref(part) for part in (trie, request, answers))
        if self._c.retrograd_search(self._engine, self._handle, *structures):
            raise MemoryError("no memory for the beams; ask for fewer answers or smaller batches")

    def encode(self, texts: TextsStructure) -> None:
        """Fill the states."""
        if self._c.retrograd_encode(self._engine, self._handle, ctypes.byref(texts)):
            raise MemoryError("no memory to encode the texts; make the batches smaller")


@functools.cache
def find() -> Library | str:
    """The library that was built with this package, or the reason why there is none."""
    path = Path(__file__).parent / LIBRARY
    if not path.is_file():
        return "the compiled core was not built; install the package again where a C compiler is present"
    try:
        return Library(path)
    except OSError as error:
        return str(error)
