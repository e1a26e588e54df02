"""The web page: plain HTML, CSS and JavaScript modules that the server hands out as they lie here.

Knows where its files are and nothing else; what the page shows comes from the HTTP API alone.
"""

from __future__ import annotations

from pathlib import Path


def static_folder() -> Path:
    """The folder whose `index.html` is the page; the server offers it at `/` and the rest below `/static/`.

    >>> (static_folder() / "index.html").is_file()
    True
    """
    return Path(__file__).parent / "static"
