"""The rules of accessibility, checked by axe."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page, theme: str) -> list[str]:
    """Return what axe finds. Themes differ only in colours, so in the dark one it checks the contrast alone."""
    rules = {"type": "tag", "values": RULES} if theme == "light" else {"type": "rule", "values": ["color-contrast"]}
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response["violations"]
    return [f"{rule['id']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]
