"""Every page is accessible, keeps the content security policy, fits narrow screens and German, and stays in budget."""

from __future__ import annotations

import gzip

import pytest
from django.conf import settings

from tests.browser.accessibility import violations
from tests.browser.conftest import Opener
from tests.browser.scene import Scene

pytestmark = pytest.mark.django_db(transaction=True)

# Elements whose text is larger than their box, so that it is cut off or overlaps its neighbour.
CLIPPED = """() => [...document.querySelectorAll('body *')].filter(e => {
  const style = getComputedStyle(e);
  const aside = e.closest('.visually-hidden, .scroller, svg, dialog');
  const shown = e.checkVisibility({ visibilityProperty: true }) && !aside;
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  const ellipsis = style.textOverflow === 'ellipsis';
  return shown && own && !ellipsis && !e.matches('input, select, option, textarea')
    && (e.scrollWidth > e.clientWidth + 1) && style.display !== 'inline';
}).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.trim().slice(0, 40))"""


# The minimum height of each kind of control on a touch screen. Hidden controls and links in running text do not count.
TOO_SMALL = """() => [
  [44, 'button.button:not(.small), a.button:not(.small), .icon-button, .nav a, .menu a, .menu .item, select, .choice,'
     + 'input:not([type=checkbox], [type=radio], [type=hidden])'],
  [30, '.chip, .pager a, .button.small'],
  [24, '.table a, .attention a, .lines a, .legend a, .breadcrumb a'],
].flatMap(([least, kinds]) => [...document.querySelectorAll(kinds)]
  .filter(e => e.checkVisibility() && !e.closest('.visually-hidden, .segments') && e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().height < least - 0.5)
  .map(e => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().height)} of ${least} px: `
    + e.textContent.trim().slice(0, 30)))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_keep_the_rules_of_accessibility(open_as: Opener, width: int) -> None:
    scene = Scene()
    page = open_as(scene.alice, width=width)
    problems = []
    for name, address in scene.addresses().items():
        page.goto(address)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            problems += [f"{name}, {theme}, {width}: {line}" for line in violations(page, theme)]
        if width == 390:
            problems += [f"{name} under a finger: {line}" for line in page.evaluate(TOO_SMALL)]
    assert not problems, "\n".join(problems)


def test_no_page_scrolls_sideways_and_none_is_clipped_in_german(open_as: Opener) -> None:
    scene = Scene(language="de")
    page = open_as(scene.alice)
    problems = []
    for name, address in scene.addresses().items():
        page.goto(address)
        for width in (1280, 390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                problems.append(f"{name} needs {needed} px of {width}")
            if width > 320:
                problems += [f"{name} at {width}: {line}" for line in page.evaluate(CLIPPED)]
        page.set_viewport_size({"width": 1280, "height": 800})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        if page.evaluate("document.documentElement.scrollWidth") > 1280:
            problems.append(f"{name} needs more than 1280 px with text of twice the size")
        problems += [f"{name} with large text: {line}" for line in page.evaluate(CLIPPED)]
    assert not problems, "\n".join(problems)


def test_pages_keep_the_policy_and_their_budget() -> None:
    scene = Scene()
    for name, address in scene.addresses().items():
        answer = scene.client.get(address)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, name
        assert "unsafe" not in policy, name
        size = len(gzip.compress(answer.content, 9))
        assert size <= 20_000, f"{name} is {size} bytes compressed"


def test_style_and_script_keep_their_budget() -> None:
    for file, budget in (("css/app.css", 12_000), ("js/app.js", 4_000)):
        content = (settings.BASE_DIR / "static" / file).read_bytes()
        assert len(gzip.compress(content, 9)) <= budget, file
