"""The page's files: nothing from elsewhere, nothing a strict policy would block, colours one can read."""

import re
from pathlib import Path

import pytest

from retrograd.web import static_folder

FILES = sorted(static_folder().iterdir())
MODULES = [path for path in FILES if path.suffix == ".js"]
AA = 4.5
"""Contrast that normal text needs."""

READ_ON = [
    ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "paper"),
    ("accent", "card"), ("accent-ink", "accent"), ("ink", "accent-wash"), ("soft", "accent-wash"),
    ("ink", "mark"), ("ink", "mass-rest"), ("ink", "mass-pale"), ("good", "good-wash"), ("fair", "fair-wash"),
    ("bad", "bad-wash"), ("bad", "card"), ("ink", "good-wash"), ("ink", "fair-wash"), ("ink", "bad-wash"),
]  # fmt: skip


def test_the_folder_holds_one_page_and_what_it_names():
    page = (static_folder() / "index.html").read_text("utf-8")
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert {"page.css", "page.js", "icon.svg"} <= set(named)
    assert all((static_folder() / name).is_file() for name in named)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path):
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|@import|url\(", text)


def test_the_page_holds_no_inline_script_style_or_handler():
    page = (static_folder() / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_write_text_and_never_markup(path: Path):
    text = path.read_text("utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage"
    assert not re.search(forbidden, text)
    assert not re.search(r"sessionStorage|document\.cookie|setAttribute\(\"style", text)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_import_what_exists(path: Path):
    names = re.findall(r'from "\./([^"]+)"', path.read_text("utf-8"))
    assert all((static_folder() / name).is_file() for name in names)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink, ground", READ_ON)
def test_text_has_the_contrast_that_reading_needs(scheme: str, ink: str, ground: str):
    colours = palette()[scheme]
    assert contrast(colours[ink], colours[ground]) >= AA


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("edge", ["edge", "accent", "mass"])
def test_borders_and_bars_can_be_seen(scheme: str, edge: str):
    colours = palette()[scheme]
    assert contrast(colours[edge], colours["card"]) >= 3


def palette() -> dict[str, dict[str, str]]:
    """Colours by scheme and name, as the style sheet declares them."""
    sheet = (static_folder() / "page.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)[:2]
    read = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": read[0], "dark": {**read[0], **read[1]}}


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two colours, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2 relative luminance, 0 to 1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
