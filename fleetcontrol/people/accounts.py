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
from django.db import transaction
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

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        """The person whose address in its normal form and password these are, or None."""
        email = known_as(credentials.get("email"))
        return super().authenticate(request, **credentials | {"email": email})

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        """Send it to the address that the account has, whatever was typed."""
        super().send_password_reset_mail(user, user.email, context)

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
        emails = [known_as(address.email) for address in sociallogin.email_addresses if address.verified is True]
        for email in filter(None, emails):
            user = User.objects.filter(email=email).first() or self._invited(request, sociallogin, email)
            if user is not None:
                sociallogin.connect(request, user)
                return

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def _invited(self, request: HttpRequest, sociallogin: SocialLogin, email: str) -> User | None:
        with transaction.atomic():
            invitations = list(Invitation.open_for(email).select_for_update(of=("self",)).select_related("fleet"))
            if not invitations:
                return None
            claims = sociallogin.account.get_provider_account().get_user_data() or {}
            user = new_person(email=email, name=str(claims.get("name") or ""))
            for invitation in invitations:
                invitation.accept(user, actor=actor_for(request, user))
        return user


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
