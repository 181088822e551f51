"""A real Chromium on a real server with a real database.

FLEETCONTROL_BROWSER=required makes a missing browser a failure instead of a skip. FLEETCONTROL_CHROMIUM names another
browser than the system's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from fleetcontrol.people.models import User
from tests.support.browsers import signed_in

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
# Playwright drives the browser from an event loop, so Django would refuse database calls that tests make outside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

type Opener = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in str(item.path.parent.name):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Start one browser for this folder only: while Playwright runs, no other test can start an event loop."""
    named = os.environ.get("FLEETCONTROL_CHROMIUM")
    program = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        reason = "no Chromium on this machine: apt-get install chromium, or name one in FLEETCONTROL_CHROMIUM"
        if os.environ.get("FLEETCONTROL_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_as(chromium: Browser, live_server: LiveServer, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Return a function that opens a page: open_as(person, "/path", width=1280, …). Console errors fail the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opener(person: User | None, path: str = "/", *, width: int = 1280, script: bool = True, **options: str) -> Page:
        phone = width < 800
        context = chromium.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 844 if phone else 900},
            has_touch=phone,
            is_mobile=phone,
            java_script_enabled=script,
            locale=options.get("locale", "en-GB"),
            color_scheme="dark" if options.get("theme") == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        if person is not None:
            value = signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opener
    for context in contexts:
        context.close()
    # The browser and htmx also log the error responses that a test provokes.
    on_purpose = ("Failed to load resource: the server responded with", "Response Status Error Code")
    wrong = [text for text in complaints if not text.startswith(on_purpose)]
    assert wrong == []
