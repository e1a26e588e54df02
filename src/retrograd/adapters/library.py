"""Optional libraries by name: there, or one line that says which extra brings them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from retrograd.errors import InputError


def library(name: str, extra: str) -> Any:
    """An optional library.

    Raises:
        InputError: it is not installed; the text names the extra that brings it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise  # it is there; something that it needs is not
        raise InputError(f"this needs {error.name}: pip install 'retrograd[{extra}]'") from None
