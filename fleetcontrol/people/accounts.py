"""How people sign in: the decisions that django-allauth leaves to a project.

Nobody can sign up. A person from the OpenID Connect provider is matched by the email that the provider verified, and
needs an account or an open invitation.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from fleetcontrol.audit.models import actor_for
from fleetcontrol.people.addresses import known_as
from fleetcontrol.people.models import Invitation, User
from fleetcontrol.seal import Sealed, seal

MFA_OWNER = "authenticator"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Email and password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def populate_username(self, request: HttpRequest, user: Any) -> None:
        """People have no user name."""

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count wrong passwords by account. allauth's own key has the Host header in it, which a visitor chooses."""
        return known_as(credentials.get("email"))

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that throttles count by. AddressMiddleware has already replaced the proxy's."""
        return request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - a Unix socket has no address


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """OpenID Connect."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find the person by verified email, or create one for an open invitation. Everybody else is refused."""
        if sociallogin.state.get("process") == "connect":
            raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
        if sociallogin.is_existing:
            return
        # Not `sociallogin.email_addresses`: lower() has made another's address of some look-alikes there.
        claims = sociallogin.account.get_provider_account().get_user_data() or {}
        email = known_as(str(claims.get("email") or "")) if claims.get("email_verified") is True else ""
        user = User.objects.filter(email=email).first() or self._invited(request, email, str(claims.get("name") or ""))
        if user is not None:
            sociallogin.connect(request, user)

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def _invited(self, request: HttpRequest, email: str, name: str) -> User | None:
        invitations = list(Invitation.open_for(email).order_by("fleet_id"))
        joined = join(invitations, request, email=email, name=name) if invitations else None
        return joined or User.objects.filter(email=email).first()


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """Second factors. Their seeds are encrypted like the secrets of OEMs."""

    def encrypt(self, text: str) -> str:
        return seal(text, MFA_OWNER).token.decode()

    def decrypt(self, encrypted_text: str) -> str:
        return Sealed(encrypted_text.encode()).open(MFA_OWNER)

    def get_totp_issuer(self) -> str:
        return "FleetControl"


def new_person(*, email: str, name: str, password: str | None = None) -> User:
    """Create an account for the proven owner of an address. Without a password they sign in through the provider."""
    user = User.objects.create_user(email, password, name=name.strip()[:100])
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def join(invitations: list[Invitation], request: HttpRequest, **person: Any) -> User | None:
    """Create an account with `new_person` and accept the invitations of its address, in the order of their fleets.

    None if somebody did so at the same moment, or if none of the invitations is left.
    """
    try:
        with transaction.atomic():
            user = new_person(**person)
            accepted = [one for one in invitations if one.accept_if_left(user, actor=actor_for(request, user))]
            if not accepted:
                raise Invitation.DoesNotExist
    except (IntegrityError, Invitation.DoesNotExist):
        return None
    return user
