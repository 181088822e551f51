"""Confirm that it is you, as the last step before something is done.

A view that needs a fresh proof of who the person is validates its form first. Then it runs its verb in
`confirmed(request)`, or calls `confirm(request)` just before a verb that refuses nothing: so a mistake is found before
anybody is asked for a password. If the last proof is too old, nothing is done yet. The form waits in the session, bound
to the person and its address, while allauth asks for the password or the second factor. Then the person comes back to
the form's own address with a token that works once, and the view gets the form as if it was sent at that moment: what
it answers stands at its own address.

A person who signs in only through OpenID Connect is sent to the provider, and finds the form filled in afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from secrets import token_urlsafe
from typing import Any, Concatenate
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse

from fleetcontrol.pages.kept_input import keep_input
from fleetcontrol.pages.resubmission import act_once, leave_undone
from fleetcontrol.people.access import FleetRequest

PARAMETER = "proof"
WAITING = "forms_to_confirm"
MOST_WAITING = 5
WAITS_FOR = timedelta(minutes=30)


class ConfirmationNeeded(Exception):
    """The person has to prove who they are before the view may go on."""


def confirm(request: HttpRequest) -> None:
    """Raise ConfirmationNeeded, which `fresh_sign_in` handles, if the last proof of who the person is is too old."""
    if not signed_in_recently(request):
        raise ConfirmationNeeded


@contextmanager
def confirmed(request: HttpRequest) -> Iterator[None]:
    """A transaction for a verb, which is undone, with ConfirmationNeeded, if the last proof is too old.

    The verb has checked all its rules by then, also those that only the database holds.
    """
    with transaction.atomic():
        yield
        confirm(request)


def signed_in_recently(request: HttpRequest) -> bool:
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def fresh_sign_in[**P](
    view: Callable[Concatenate[FleetRequest, P], HttpResponse],
) -> Callable[..., HttpResponse]:
    """Decorate a view that uses `confirmed` or `confirm`. Place it below `fleet_view`, above `require_POST`."""

    @wraps(view)
    def inner(request: FleetRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        def answer(request: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except ConfirmationNeeded:
                return leave_undone(send_to_confirm(request))

        if request.method == "GET" and PARAMETER in request.GET and take_back_waiting_form(request):
            return act_once(request, answer)
        return answer(request)

    inner.asks_for_fresh_sign_in = True  # type: ignore[attr-defined]  # read by the test that lists every URL
    return inner


def send_to_confirm(request: HttpRequest) -> HttpResponse:
    """Let the sent form wait, and ask the person to prove who they are."""
    if settings.OIDC and not get_reauthentication_flows(request.user):
        prompt = urlencode({"next": request.path, "auth_params": "prompt=login"})
        sign_in = reverse("openid_connect_login", args=[settings.OIDC["provider_id"]])
        return keep_input(request, HttpResponseRedirect(f"{sign_in}?{prompt}"))
    token = token_urlsafe(16)
    form = {"person": request.user.pk, "path": request.path, "form": request.POST.urlencode(), "at": time.time()}
    others = list(request.session.get(WAITING, {}).items())
    request.session[WAITING] = dict([*others[1 - MOST_WAITING :], (token, form)])
    query = request.GET.copy()
    query[PARAMETER] = token
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    page = methods[0]["url"] if methods else reverse("account_login")
    back = urlencode({"next": f"{request.path}?{query.urlencode()}"})
    return HttpResponseRedirect(f"{page}?{back}")


def take_back_waiting_form(request: HttpRequest) -> bool:
    """Make this request the sending of the form that waits for its token; returns whether there is one.

    The token works once, for the person and address of the form, and only after the proof.
    """
    waiting = request.session.get(WAITING, {})
    form = waiting.get(request.GET[PARAMETER])
    if form is None or (form["person"], form["path"]) != (request.user.pk, request.path):
        return False
    if not signed_in_recently(request):
        return False
    del waiting[request.GET[PARAMETER]]
    request.session[WAITING] = waiting
    if time.time() - form["at"] > WAITS_FOR.total_seconds():
        return False
    request.method = "POST"
    request.POST = QueryDict(form["form"])
    request.content_type = "application/x-www-form-urlencoded"
    return True
