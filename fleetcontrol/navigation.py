"""What the frame around every page shows: navigation, fleets, the person. Only templates that draw it pay for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from fleetcontrol.pages import badges
from fleetcontrol.pages.resubmission import new_token
from fleetcontrol.people.models import Fleet, Membership, Role

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a fleet that the navigation leads to. `shortcut` is the keys that open it, such as "gv"."""

    label: StrOrPromise
    view_name: str
    icon: str
    shortcut: str
    role: Role  # the lowest that may open it


PAGES: tuple[tuple[StrOrPromise, tuple[Page, ...]], ...] = (
    (
        "",
        (
            Page(_("Vehicles"), "vehicles:index", "car-front", "gv", Role.VIEWER),
            Page(_("Imports"), "imports:index", "file-up", "gi", Role.MANAGER),
        ),
    ),
    (
        _("Administration"),
        (
            Page(_("OEM Credentials"), "credentials:index", "key-round", "gc", Role.VIEWER),
            Page(_("API Clients"), "clients:index", "plug-zap", "", Role.ADMINISTRATOR),
            Page(_("Members"), "members:index", "users", "gm", Role.ADMINISTRATOR),
            Page(_("Audit history"), "history:index", "history", "ga", Role.ADMINISTRATOR),
            Page(_("Fleet settings"), "fleets:change", "settings", "", Role.ADMINISTRATOR),
        ),
    ),
)
# Lists of a fleet, with the role that opens them: from these and the pages below them, the fleet switcher leads to the
# same list of the other fleet.
LISTS = {"vehicles:index": Role.VIEWER, "credentials:index": Role.VIEWER, "imports:index": Role.MANAGER}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation. `current` is the value of aria-current, `key` the shortcut, `badge` a count, `busy`
    whether work is under way there.
    """

    label: StrOrPromise
    url: str
    icon: str
    key: str
    current: str
    badge: int
    busy: bool


@dataclass(frozen=True, slots=True)
class Group:
    title: StrOrPromise
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class FleetEntry:
    name: str
    initials: str
    url: str
    current: bool


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `form_token`, `initials`, `fleet_initials`, `manages`, `navigation`, `fleets`."""
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
    """The entries that the person's role allows; a group without any is left out."""
    groups = (
        Group(title, [entry_of(page, request, membership.fleet) for page in pages if membership.may(page.role)])
        for title, pages in PAGES
    )
    return [group for group in groups if group.entries]


def entry_of(page: Page, request: HttpRequest, fleet: Fleet) -> Entry:
    return Entry(
        label=page.label,
        url=reverse(page.view_name, kwargs={"fleet": fleet.slug}),
        icon=page.icon,
        key=page.shortcut,
        current=current_of(page, request),
        badge=badges.count(page.view_name, fleet),
        busy=badges.is_busy(page.view_name, fleet),
    )


def current_of(page: Page, request: HttpRequest) -> str:
    """The value of aria-current: "page" on the page itself, "true" on one below it, else ""."""
    here = request.resolver_match
    if here is None:
        return ""
    if here.view_name == page.view_name:
        return "page"
    return "true" if here.namespace == page.view_name.partition(":")[0] else ""


def fleets(request: HttpRequest, membership: Membership) -> list[FleetEntry]:
    """The person's fleets, each with the page there that corresponds to this one, else with its vehicles."""
    here = request.resolver_match
    listing = f"{here.namespace}:index" if here else ""
    view_name = listing if listing in LISTS else here.view_name if here else ""
    role = LISTS.get(view_name, Role.ADMINISTRATOR)
    memberships = Membership.objects.filter(user=membership.user).select_related("fleet").order_by("fleet__name")
    return [
        FleetEntry(
            name=other.fleet.name,
            initials=initials_of(other.fleet.name),
            url=(page_in(other.fleet, view_name) if other.may(role) else "") or page_in(other.fleet, "vehicles:index"),
            current=other.pk == membership.pk,
        )
        for other in memberships
    ]


def page_in(fleet: Fleet, view_name: str) -> str:
    """The address of a page in the fleet; "" for a page that needs more than the fleet, such as a member's role."""
    try:
        return reverse(view_name, kwargs={"fleet": fleet.slug})
    except NoReverseMatch:
        return ""
