"""What the frame around every page shows: navigation, fleets, the person. Evaluated only by templates that draw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from fleetcontrol.pages import badges
from fleetcontrol.pages.once import new_token
from fleetcontrol.people.models import Fleet, Membership, Role


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation. `current` is the value of aria-current, `key` its shortcut, `badge` a count, `busy`
    whether something of it is at work.
    """

    label: str
    url: str
    icon: str
    key: str
    current: str = ""
    badge: int = 0
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class FleetEntry:
    name: str
    initials: str
    url: str
    current: bool


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `navigation`, `fleets`, `initials`, `fleet_initials`, `manages`, as templates name them."""
    membership: Membership | None = getattr(request, "membership", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "form_token": new_token,
        "initials": initials_of(str(user)),
        "fleet_initials": initials_of(membership.fleet.name) if membership else "",
        "manages": membership is not None and membership.may(Role.MANAGER),
        "navigation": SimpleLazyObject(partial(navigation, request, membership)) if membership else [],
        "fleets": SimpleLazyObject(partial(fleets, request, membership)) if membership else [],
    }


def initials_of(name: str) -> str:
    """Two letters for the tile: of the first two words, else the first two of the only one."""
    words = name.split()
    letters = words[0][0] + words[1][0] if len(words) > 1 else Truncator(name.strip()).chars(2, truncate="")
    return letters.upper()


def navigation(request: HttpRequest, membership: Membership) -> list[Group]:
    """The entries the person's role allows, of the pages that exist."""
    here = request.resolver_match
    at = here.view_name if here else ""

    def entries(*wanted: tuple[str, str, str, str, Role]) -> Iterator[Entry]:
        for label, name, icon, key, role in wanted:
            url = address(name, membership.fleet)
            if url and membership.may(role):
                current = "page" if at == name else "true" if here and here.namespace == name.partition(":")[0] else ""
                badge, busy = badges.count(name, membership.fleet), badges.is_busy(name, membership.fleet)
                yield Entry(label, url, icon, key, current, badge, busy)

    groups = [
        Group(
            "",
            list(
                entries(
                    (_("Vehicles"), "vehicles:index", "car-front", "gv", Role.VIEWER),
                    (_("Imports"), "imports:index", "file-up", "gi", Role.MANAGER),
                )
            ),
        ),
        Group(
            _("Administration"),
            list(
                entries(
                    (_("OEM Credentials"), "credentials:index", "key-round", "gc", Role.VIEWER),
                    (_("API Clients"), "clients:index", "plug-zap", "", Role.ADMINISTRATOR),
                    (_("Members"), "members:index", "users", "gm", Role.ADMINISTRATOR),
                    (_("Audit history"), "history:index", "history", "ga", Role.ADMINISTRATOR),
                    (_("Fleet settings"), "fleets:change", "settings", "", Role.ADMINISTRATOR),
                )
            ),
        ),
    ]
    return [group for group in groups if group.entries]


def address(name: str, fleet: Fleet) -> str:
    """The page's address in the fleet, or "" while the page does not exist."""
    try:
        return reverse(name, kwargs={"fleet": fleet.slug})
    except NoReverseMatch:
        return ""


def fleets(request: HttpRequest, membership: Membership) -> list[FleetEntry]:
    """The person's fleets, each with the same section there, or its vehicles where the role does not allow that."""
    here = request.resolver_match
    section = f"{here.namespace}:index" if here and here.namespace in ("vehicles", "credentials", "imports") else ""
    at = section or (here.view_name if here else "")
    managed = ("imports:index",)
    found = []
    for other in Membership.objects.filter(user=membership.user).select_related("fleet").order_by("fleet__name"):
        needed = Role.VIEWER if section else Role.ADMINISTRATOR
        needed = Role.MANAGER if section in managed else needed
        url = address(at, other.fleet) if other.may(needed) else ""
        url = url or address("vehicles:index", other.fleet)
        found.append(FleetEntry(other.fleet.name, initials_of(other.fleet.name), url, other.pk == membership.pk))
    return found
