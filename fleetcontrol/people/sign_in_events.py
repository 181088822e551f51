"""What follows from a sign-in or a new factor: audit events, and the end of other sessions.

An event is in each fleet of the person, so that its administrators see it.

These are receivers of signals, because allauth and Django announce sign-ins in no other way.
"""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.account.signals import password_changed, password_reset, password_set, user_logged_in, user_logged_out
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from allauth.usersessions.models import UserSession
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.signals import user_login_failed
from django.db.models.signals import post_save
from django.http import HttpRequest

from fleetcontrol.audit.models import Actor, AuditEvent, Target, actor_for, visitor_of
from fleetcontrol.people import browser, mails
from fleetcontrol.people.access import SECOND_FACTORS
from fleetcontrol.people.addresses import known_as
from fleetcontrol.people.models import Fleet, MailKind, User

REPLACED = "replaced"


def connect() -> None:
    """Connect the receivers. PeopleConfig calls this once."""
    user_logged_in.connect(signed_in)
    user_logged_out.connect(signed_out)
    user_login_failed.connect(failed)
    authentication_failed.connect(second_factor_failed)
    password_changed.connect(password_replaced)
    password_reset.connect(password_replaced)
    password_set.connect(password_replaced)
    authenticator_added.connect(factor_added)
    post_save.connect(factor_set_up, sender=Authenticator)
    authenticator_removed.connect(factor_removed)
    authenticator_reset.connect(factor_reset)


def record(user: User, actor: Actor, action: str, changes: dict[str, Any] | None = None) -> None:
    """Record an event in each fleet of the person, or one outside of fleets for a person without any."""
    fleets: list[Fleet | None] = [*Fleet.objects.filter(memberships__user=user).order_by("pk")]
    AuditEvent.record_many([AuditEvent.about(fleet, actor, action, user, changes) for fleet in fleets or [None]])


def signed_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    if not browser.is_known(request, user) and not getattr(request, "is_first_sign_in", False):
        mails.queue(MailKind.NEW_BROWSER, user, request=request)
    browser.remember(request, user)
    methods = [entry.get("type") or entry["method"] for entry in get_authentication_records(request, user)]
    record(user, actor_for(request, user), "user.sign_in", {"method": [None, methods]})


def signed_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    if user is not None:
        record(user, actor_for(request, user), "user.sign_out")


def failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    """A wrong password. An unknown address is not recorded, because it may be a password typed in the wrong field."""
    user = User.objects.filter(email=known_as(credentials.get("email"))).first()
    if user is not None:
        record(user, visitor_of(request), "user.sign_in_failed", {"method": [None, ["password"]]})
    else:
        AuditEvent.record(None, visitor_of(request), "user.sign_in_failed", Target("user"))


def second_factor_failed(
    request: HttpRequest, user: User, authenticator: Authenticator | None = None, **_kw: Any
) -> None:
    kind = authenticator.type if authenticator else "code"
    record(user, visitor_of(request), "user.sign_in_failed", {"method": [None, [kind]]})


def password_replaced(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    record(user, actor_for(request, user), "user.change", {"password": [REPLACED, REPLACED]})


def factor_added(request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    record(user, actor_for(request, user), "user.change", {"second_factor": [None, authenticator.type]})


def factor_set_up(instance: Authenticator, *, created: bool, **_kwargs: Any) -> None:
    """End all other sessions, which were made without the factor. This one has just shown that the person has it.

    allauth's own signal would come after the transaction, and other sessions would live on between.
    """
    request: HttpRequest | None = context.request
    if not created or instance.type not in SECOND_FACTORS or request is None or request.user != instance.user:
        return
    person = request.user
    assert isinstance(person, User)  # noqa: S101 - it is the owner of a factor
    person.end_sessions()
    record_authentication(request, person, "mfa", id=instance.pk, type=instance.type, set_up=True)
    update_session_auth_hash(request, person)
    UserSession.objects.create_from_request(request)


def factor_removed(request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    record(user, actor_for(request, user), "user.change", {"second_factor": [authenticator.type, None]})


def factor_reset(request: HttpRequest, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    record(user, actor_for(request, user), "user.change", {"second_factor": [authenticator.type, REPLACED]})
