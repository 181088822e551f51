"""Confirm that it is you, as the last step before something is done.

A view that needs a fresh proof of who the person is validates its form first. Then it runs its verb in
`confirmed(request)`, or calls `confirm(request)` just before a verb that refuses nothing: so a mistake is found before
anybody is asked for a password. If the last proof is too old, nothing is done yet. The form waits in the session, bound
to the person and its address, while allauth asks for the password or the second factor. Then the person comes back to
the form's own address with a token that works once, and the view gets the form as if it was sent at that moment: what
it answers stands at its own address.

A person who signs in only through OpenID Connect is sent to the provider. A button waits as above; a form that keeps
what was typed is found filled in afterwards. A sign-in there proves as much as it is fresh: the provider says by
`auth_time` when the person last signed in to it.

PROOF lists every address that asks for proof. `tests/house/test_proof.py` holds it: an address that changes something
is in this list or in that of the test.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum, auto
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
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.datastructures import MultiValueDict

from fleetcontrol.pages.kept_input import FIELD as KEEP
from fleetcontrol.pages.kept_input import keep_input
from fleetcontrol.pages.resubmission import act_once, leave_undone
from fleetcontrol.people.access import FleetRequest, has_second_factor, made_with_factor


class Asks(Enum):
    """When an address asks for proof."""

    LAST = auto()  # by its view, once its form is without mistakes: see `fresh_sign_in`
    FIRST = auto()  # before the page is shown; the pages of allauth
    SENT = auto()  # when a form is sent, before it is looked at; the Django admin


PROOF: dict[str, Asks] = {
    **dict.fromkeys(
        (
            "members:invite",
            "members:change",
            "members:remove",
            "invitations:resend",
            "invitations:revoke",
            "fleets:change",
            "fleets:remove",
            "clients:add",
            "clients:change",
            "clients:replace_secret",
            "clients:stop_former",
            "clients:revoke",
            "credentials:webhook",
            "history:export",
        ),
        Asks.LAST,
    ),
    **dict.fromkeys(
        (
            "account_change_password",
            "account_set_password",
            "mfa_activate_totp",
            "mfa_deactivate_totp",
            "mfa_view_recovery_codes",
            "mfa_generate_recovery_codes",
            "mfa_download_recovery_codes",
            "mfa_add_webauthn",
            "mfa_edit_webauthn",
            "mfa_remove_webauthn",
        ),
        Asks.FIRST,
    ),
    **dict.fromkeys(
        (
            "admin:password_change",
            "admin:people_fleet_add",
            "admin:people_fleet_change",
            "admin:people_membership_changelist",  # deletes what is ticked
            "admin:people_membership_add",
            "admin:people_membership_change",
            "admin:people_membership_delete",
            "admin:people_user_add",
            "admin:people_user_change",
            "admin:auth_user_password_change",
            "admin:api_apiclient_changelist",  # revokes what is ticked
        ),
        Asks.SENT,
    ),
}
PARAMETER = "proof"
AT_PROVIDER = "provider"  # the parameter's value when no form waits
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


def signed_in_recently(request: HttpRequest, person: Any = None) -> bool:
    """Whether the person has proved who they are in the last ACCOUNT_REAUTHENTICATION_TIMEOUT seconds."""
    proofs = [proved_at(record) for record in get_authentication_records(request, person or request.user)]
    return bool(proofs) and time.time() - max(proofs) < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def proved_at(record: dict[str, Any]) -> float:
    """When the sign-in or confirmation of this record proved who the person is; 0 if it proved nothing.

    A sign-in at the provider may have passed without a question, so the time is the one that the provider says.
    """
    if record["method"] == "socialaccount":
        return min(float(record["at"]), float(record.get("auth_time", 0)))
    return 0 if record.get("set_up") else float(record["at"])


def proof_for_own_account(request: HttpRequest) -> bool:
    """Whether the person may change their own ways to sign in: fresh proof, and with the factor if they have one."""
    person: Any = request.user
    return signed_in_recently(request) and (made_with_factor(request) or not has_second_factor(person))


def fresh_sign_in[**P](
    view: Callable[Concatenate[FleetRequest, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Decorate a view that uses `confirmed` or `confirm`. Place it below `fleet_view`, above `require_POST`."""

    @wraps(view)
    def inner(request: FleetRequest, *args: P.args, **kwargs: P.kwargs) -> Any:
        def answer(request: Any) -> Any:
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
    at_provider = only_provider_proves(request)
    token = ""
    if request.method == "POST" and not (at_provider and request.POST.get(KEEP)):
        token = token_urlsafe(16)
        form = {"person": request.user.pk, "path": request.path, "form": request.POST.urlencode(), "at": time.time()}
        others = list(request.session.get(WAITING, {}).items())
        request.session[WAITING] = dict([*others[1 - MOST_WAITING :], (token, form)])
    answer = HttpResponseRedirect(page_of_proof(request, token))
    return keep_input(request, answer) if at_provider else answer


def page_of_proof(request: HttpRequest, token: str = "") -> str:
    """Where the person proves who they are. It leads back to this address, with the token if there is one."""
    query = request.GET.copy()
    query.pop(PARAMETER, None)
    if only_provider_proves(request):
        query[PARAMETER] = token or AT_PROVIDER
        page, more = provider_page(), {"auth_params": "prompt=login&max_age=0"}
    else:
        methods = get_adapter(request).get_reauthentication_methods(request.user)
        page, more = methods[0]["url"] if methods else reverse("account_login"), {}
        if token:
            query[PARAMETER] = token
    back = f"{request.path}?{query.urlencode()}" if query else request.path
    return f"{page}?{urlencode({'next': back, **more})}"


def only_provider_proves(request: HttpRequest) -> bool:
    return bool(settings.OIDC) and not get_reauthentication_flows(request.user)


def provider_page() -> str:
    return reverse("openid_connect_login", args=[settings.OIDC["provider_id"]])


def set_aside(request: HttpRequest) -> None:
    """Before a sign-in at the provider, which begins a new session: hold the forms that wait in this one."""
    request.waiting_forms = request.session.get(WAITING, {})  # type: ignore[attr-defined]  # see take_along


def take_along(request: HttpRequest, person: Any) -> None:
    """Let the forms of the same person, who has come back from the provider, wait in the new session."""
    held: dict[str, Any] = getattr(request, "waiting_forms", {})
    if held:
        request.session[WAITING] = {token: form for token, form in held.items() if form["person"] == person.pk}


def take_back_waiting_form(request: HttpRequest) -> bool:
    """Make this request the sending of the form that waits for its token; returns whether there is one.

    The token works once, for the person and address of the form, and only after the proof.
    """
    token = request.GET[PARAMETER]
    query = request.GET.copy()
    del query[PARAMETER]  # what follows does not know it
    request.GET, request.META["QUERY_STRING"] = query, query.urlencode()  # type: ignore[assignment]  # a mutable one
    waiting = request.session.get(WAITING, {})
    form = waiting.get(token)
    if form is None or (form["person"], form["path"]) != (request.user.pk, request.path):
        return False
    if not signed_in_recently(request):
        return False
    del waiting[token]
    request.session[WAITING] = waiting
    if time.time() - form["at"] > WAITS_FOR.total_seconds():
        return False
    request.method = "POST"
    request.POST = QueryDict(form["form"])
    request._files = MultiValueDict()  # type: ignore[attr-defined]  # reading FILES would read the empty body
    request.content_type = "application/x-www-form-urlencoded"
    return True
