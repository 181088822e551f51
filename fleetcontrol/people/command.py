"""What management commands share that work on one fleet."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from fleetcontrol.people.models import Fleet

WRONG_USAGE = 2  # exit code
FLEETS_IN_SENTENCE = 10


def fleet_or_error(slug: str) -> Fleet:
    """Return the fleet with this short name. Raises CommandError (exit code 2) that names the fleets there are."""
    try:
        return Fleet.objects.get(slug=slug)
    except Fleet.DoesNotExist:
        known = Fleet.objects.order_by("slug").values_list("slug", flat=True)[:FLEETS_IN_SENTENCE]
        sentence = _("There is no fleet “%(slug)s”. The fleets are: %(known)s.")
        words = sentence % {"slug": slug, "known": ", ".join(known) or "–"}
        raise CommandError(words, returncode=WRONG_USAGE) from None
