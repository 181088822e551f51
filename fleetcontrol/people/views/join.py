"""Accepting an invitation: from the link in the email to the fleet."""

from __future__ import annotations

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from fleetcontrol.audit.models import actor_for
from fleetcontrol.people.accounts import join
from fleetcontrol.people.forms import JoinForm
from fleetcontrol.people.models import Invitation, User


@login_not_required
@never_cache
@sensitive_post_parameters("password")
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """Join as the signed-in person, sign in first, or make an account. Holding the link proves owning the address."""
    invitation = Invitation.of_token(token)
    if invitation is None:
        return render(request, "people/invitations/gone.html", status=404)
    user = User.objects.filter(email=invitation.email).first()
    if user is None:
        return join_as_new(request, invitation)
    if request.user != user:
        sign_in = reverse("account_login", query={"next": request.path})
        context = {"invitation": invitation, "sign_in": sign_in}
        return render(request, "people/invitations/accept_sign_in.html", context)
    if request.method == "POST":
        accepted = invitation.accept_if_left(user, actor=actor_for(request, user))
        if accepted or user.memberships.filter(fleet=invitation.fleet).exists():
            return welcome(request, invitation)
        return render(request, "people/invitations/gone.html", status=404)
    return render(request, "people/invitations/accept.html", {"invitation": invitation})


def join_as_new(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = JoinForm(request.POST or None, email=invitation.email)
    if request.user.is_authenticated:
        return render(request, "people/invitations/accept_sign_in.html", {"invitation": invitation, "new": True})
    if request.method != "POST" or not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "people/invitations/join.html", {"form": form, "invitation": invitation}, status=status)
    user = join([invitation], request, email=invitation.email, **form.cleaned_data)
    if user is None:
        return redirect(request.path)
    record_authentication(request, user, method="password", email=user.email)
    target = reverse("vehicles:index", args=[invitation.fleet.slug])
    answer: HttpResponse = perform_login(request, user, redirect_url=target)
    return answer


def welcome(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    messages.success(request, _("You are now a member of %(fleet)s.") % {"fleet": invitation.fleet})
    return redirect("vehicles:index", invitation.fleet.slug)
