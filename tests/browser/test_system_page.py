"""The page *System*, which only superusers have, keeps the rules of every other page."""

import pytest

from fleetcontrol.operations.models import Report
from fleetcontrol.people.models import User
from tests.browser.accessibility import violations
from tests.browser.conftest import Opener
from tests.browser.scene import Scene
from tests.browser.test_every_page import CLIPPED, TOO_SMALL
from tests.support.reports import leave_all_reports

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_system_page_fits_screens_themes_and_german(open_as: Opener) -> None:
    scene = Scene(language="de")
    User.objects.filter(pk=scene.alice.pk).update(is_superuser=True)
    leave_all_reports()
    items = ", ".join(f"credential 01F62857KMPG2NE2GK1W2N3QY{number}" for number in range(3))
    Report.leave("erase_former_secrets", items, failed=True)
    problems = []
    for width in (1280, 390, 320):
        page = open_as(scene.alice, "/system/", width=width)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            problems += [f"{theme}, {width}: {line}" for line in violations(page, theme)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"needs more than {width} px")
        problems += [f"{width}: {line}" for line in page.evaluate(CLIPPED)]
        if width == 390:
            problems += [f"under a finger: {line}" for line in page.evaluate(TOO_SMALL)]
    assert not problems, "\n".join(problems)
