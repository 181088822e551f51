"""Paging by cursor gives every row once, forwards and backwards, and totals stop at the cap."""

import pytest
from django.http import QueryDict

from fleetcontrol.pages import paging
from fleetcontrol.people.models import Fleet
from tests.support import factory

pytestmark = pytest.mark.django_db


@pytest.fixture
def names(fleet: Fleet) -> list[str]:
    made = [f"Transporter {number:02}" for number in range(7)]
    for name in made:
        factory.a_vehicle(fleet, name=name)
    return made


def page(fleet: Fleet, query: str = "", *, order: str = "name", size: int = 3, cap: int = 10) -> paging.Page:  # type: ignore[type-arg]
    return paging.page_of(fleet.vehicles.all(), QueryDict(query.removeprefix("?")), order=[order], size=size, cap=cap)


@pytest.mark.parametrize("order", ["name", "-name"])
def test_forwards_and_backwards_give_every_row_once(fleet: Fleet, names: list[str], order: str) -> None:
    expected = sorted(names, reverse=order == "-name")
    first = page(fleet, order=order)
    second = page(fleet, first.next, order=order)
    third = page(fleet, second.next, order=order)
    assert [row.name for one in (first, second, third) for row in one.rows] == expected
    assert [(one.first, one.last, one.total) for one in (first, second, third)] == [(1, 3, 7), (4, 6, 7), (7, 7, 7)]
    assert (first.previous, third.next) == ("", "")
    back = page(fleet, third.previous, order=order)
    assert ([row.name for row in back.rows], back.first, back.last) == (expected[3:6], 4, 6)
    start = page(fleet, back.previous, order=order)
    assert ([row.name for row in start.rows], start.first, start.previous) == (expected[:3], 1, "")


def test_a_total_stops_at_the_cap(fleet: Fleet, names: list[str]) -> None:
    assert (page(fleet, cap=5).total, page(fleet, cap=5).capped) == (5, True)
    assert (page(fleet, cap=7).total, page(fleet, cap=7).capped) == (7, False)


def test_a_total_that_would_cost_too_much_is_not_counted(fleet: Fleet, names: list[str]) -> None:
    first = page(fleet, cap=0)
    assert (first.last, first.total, first.capped) == (3, 3, True)
    last = page(fleet, page(fleet, first.next, cap=0).next, cap=0)
    assert (last.last, last.total, last.capped) == (7, 7, False)


def test_a_link_keeps_search_and_filters(fleet: Fleet, names: list[str]) -> None:
    assert page(fleet, "q=nord&brand=NIU").next.startswith("?q=nord&brand=NIU&after=")


@pytest.mark.parametrize("cursor", ["", "nonsense", "AAAA", "WzEsIDJd", "eyJhIjogMX0", "WzEsICJcdTAwMDAiXQ", "%00"])
def test_a_cursor_that_nobody_was_given_is_the_first_page(fleet: Fleet, names: list[str], cursor: str) -> None:
    assert page(fleet, f"after={cursor}").first == 1


def test_a_link_to_rows_that_were_removed_meanwhile_leads_back_to_the_start(fleet: Fleet, names: list[str]) -> None:
    link = page(fleet, page(fleet).next).next
    for row in page(fleet, link).rows:
        row.remove(actor=factory.TEST)
    again = page(fleet, link)
    assert (again.first, [row.name for row in again.rows]) == (1, names[:3])
