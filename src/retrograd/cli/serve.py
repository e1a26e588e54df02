"""`retrograd serve`: fitted systems over HTTP, with the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrograd.server.run import Options


def serve_command(folders: Sequence[str], token_file: Path | None, options: Options) -> None:
    """Serve until told to stop.

    Raises:
        InputError: see `server.run.serve`.
    """
    from retrograd.server.run import named_folders, read_token, serve

    # what people ask is neither written to disk nor waited for there
    os.environ["RETROGRAD_CACHE"] = "off"
    serve(named_folders(folders), replace(options, token=read_token(token_file)))
