"""The colours in app.css have the contrast that WCAG 2.2 requires in both themes: 4.5 for text, 3 for edges."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "static/css/app.css").read_text()
TOKENS = dict(re.findall(r"(--[\w-]+): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\);", CSS))
TEXT = [
    ("text", "surface canvas"),
    ("text-2", "surface canvas hover"),
    ("text-3", "surface canvas subtle hover"),
    ("link", "surface canvas hover"),
    ("accent-ink", "accent accent-hover"),
    ("accent-soft-text", "accent-soft"),
    ("ok-text", "ok-bg surface"),
    ("warn-text", "warn-bg surface"),
    ("bad-text", "bad-bg surface"),
    ("danger-ink", "danger danger-hover"),
]
EDGES = [
    ("border-strong", "surface canvas"),
    ("focus", "surface canvas"),
    ("bar", "surface"),
    ("ok-edge", "surface"),
    ("warn-edge", "surface"),
    ("bad-edge", "surface"),
]
PAIRS = [
    (front, back, theme, needed)
    for pairs, needed in ((TEXT, 4.5), (EDGES, 3.0))
    for front, backs in pairs
    for back in backs.split()
    for theme in ("light", "dark")
]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: str, back: str) -> float:
    lighter, darker = sorted((luminance(front), luminance(back)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("front", "back", "theme", "needed"), PAIRS)
def test_every_pair_of_colours_can_be_told_apart(front: str, back: str, theme: str, needed: float) -> None:
    half = 0 if theme == "light" else 1
    colours = [TOKENS[f"--{name}"].split(", ")[half] for name in (front, back)]
    assert contrast(*colours) >= needed, f"{front} on {back} in {theme}: {contrast(*colours):.2f}"


def test_contrast_is_calculated_as_the_design_does() -> None:
    assert round(contrast("#122028", "#ffffff"), 1) == 16.6
    assert round(contrast("#04212d", "#67bfe0"), 1) == 8.0


def test_no_colour_stands_outside_the_tokens() -> None:
    outside = CSS.split("@layer elements")[1]
    # An avatar has two colours in each theme, and a QR code is shown on white.
    found = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", outside))
    assert found <= {"#e9e2d3", "#3a3327", "#5a4a26", "#e6d6b0", "#fff"}, "a new colour belongs to the tokens"
