"""Pages of the signed-in person: name, preferences, and the second factor that a fleet requires."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from fleetcontrol.audit.models import AuditEvent, actor_of
from fleetcontrol.audit.versions import ChangedMeanwhile, require_version
from fleetcontrol.people.access import ask_for_factor, has_second_factor, made_with_factor, needs_factor
from fleetcontrol.people.forms import NameForm
from fleetcontrol.people.models import Membership, User


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Save theme, language and shortcuts from the account menu, and return to the page where it was opened."""
    person = request.user
    assert isinstance(person, User)  # noqa: S101 - LoginRequiredMiddleware
    chosen = request.POST
    if chosen.get("theme") in ("system", "light", "dark"):
        person.theme = "" if chosen["theme"] == "system" else chosen["theme"]
    if chosen.get("language") in ("en", "de"):
        person.language = chosen["language"]
    if chosen.get("shortcuts") in ("on", "off"):
        person.shortcuts = chosen["shortcuts"] == "on"
    person.save(update_fields=["theme", "language", "shortcuts"])
    back = chosen.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    # Not `redirect(back)`, which takes a word for the name of a page and fails if there is none.
    return HttpResponseRedirect(back) if safe else redirect("fleetcontrol:home")


def profile(request: HttpRequest) -> HttpResponse:
    """The person's name."""
    person = request.user
    assert isinstance(person, User)  # noqa: S101 - LoginRequiredMiddleware
    form = NameForm(request.POST if request.method == "POST" else None, instance=User.objects.get(pk=person.pk))
    if form.is_valid():
        try:
            with transaction.atomic():
                current = User.objects.select_for_update(no_key=True).get(pk=person.pk)
                require_version(current, form.expected_version, form.version_fields)
                saved = form.save(commit=False)
                saved.save(update_fields=["name"])
                AuditEvent.record(None, actor_of(request), "user.change", saved, {"name": ["", "replaced"]})
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        else:
            messages.success(request, _("Your name is saved."))
            return redirect("people:profile")
    return render(request, "people/profile.html", {"form": form}, status=form.http_status)


def second_factor_needed(request: HttpRequest, fleet: str) -> HttpResponse:
    """The page that members see whose role or fleet needs a second factor, until their session has one."""
    own = Membership.objects.filter(user=request.user.pk).select_related("fleet").order_by("fleet__name")
    membership = get_object_or_404(own, fleet__slug=fleet)
    if not needs_factor(membership) or made_with_factor(request):
        return redirect("vehicles:index", fleet)
    if has_second_factor(request.user):  # type: ignore[arg-type]  # signed in
        return ask_for_factor(request, membership.fleet)
    others = [other.fleet for other in own if not needs_factor(other)]
    context = {"fleet": membership.fleet, "other_fleets": others}
    return render(request, "people/second_factor_needed.html", context, status=403)
