"""Compiles the decoding core while the package is installed, where a C compiler is present.

Without one, or where compiling fails, the package is pure Python and says so in one line.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("src", "retrograd", "native")


def builder(root: Path) -> ModuleType:
    """The module that compiles, from its file: the package itself need not be importable yet."""
    spec = importlib.util.spec_from_file_location("retrograd_native_build", root / NATIVE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library beside its sources and into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; on success the wheel is for this platform, whatever the Python version."""
        root = Path(self.root)
        native = builder(root)
        try:
            library = native.build(root / NATIVE)
        except (native.BuildError, OSError) as error:
            (root / NATIVE / native.LIBRARY).unlink(missing_ok=True)
            self.app.display_warning(f"retrograd without its compiled core: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"].append(f"/{library.relative_to(root).as_posix()}")
