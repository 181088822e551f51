"""The page about reminders: who gets them, and the fleet's webhook."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from credentials.forms import WebhookForm
from credentials.models import Webhook
from credentials.notifications import REMIND_BEFORE, post_test, recipients
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.confirmation import confirmed, fresh_sign_in
from fleetcontrol.people.models import Role


@never_cache
@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def webhook(request: FleetRequest) -> HttpResponse:
    current = Webhook.objects.filter(fleet=request.fleet).first()
    button = request.POST.get("what", "") if request.method == "POST" else ""
    if current and button in ("test", "remove"):
        if button == "test":
            post_test_event(request, current)
        else:
            remove(request, current)
        return redirect("credentials:webhook", fleet=request.fleet.slug)
    form = WebhookForm(current, request.POST if button == "set_up" else None, kept=kept_input(request))
    key = ""
    if form.is_valid():
        try:
            with confirmed(request):
                current, key = Webhook.set_up(
                    fleet=request.fleet,
                    url=form.cleaned_data["url"],
                    actor=request.actor,
                    expected_version=form.expected_version,
                )
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
            current = conflict.row
        except ValidationError as error:
            form.take(error)
        else:
            form = WebhookForm(current)
    context = {
        "form": form,
        "webhook": current,
        "key": key,
        "days": REMIND_BEFORE,
        "people": recipients(request.fleet),
    }
    return render(request, "credentials/webhook.html", context, status=form.http_status)


def post_test_event(request: FleetRequest, current: Webhook) -> None:
    if post_test(current):
        messages.success(request, _("%(host)s took the test.") % {"host": current})
    else:
        words = {"host": current, "result": current.result}
        messages.error(request, _("%(host)s did not take the test. %(result)s") % words)


def remove(request: FleetRequest, current: Webhook) -> None:
    with confirmed(request):
        current.remove(actor=request.actor)
    messages.success(request, _("The webhook is removed."))
