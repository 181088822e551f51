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
from fleetcontrol.people import mails
from fleetcontrol.people.models import Invitation, MailKind, User
from fleetcontrol.seal import Sealed, seal

MFA_OWNER = "authenticator"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Email and password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def populate_username(self, request: HttpRequest, user: Any) -> None:
        """People have no user name."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that throttles count by. AddressMiddleware has already replaced the proxy's."""
        return request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - a Unix socket has no address

    def login(self, request: HttpRequest, user: Any) -> None:
        """Remember whether it is the first sign-in of all, which is from no other browser than an earlier one."""
        request.is_first_sign_in = user.last_login is None  # type: ignore[attr-defined]  # for sign_in_events
        super().login(request, user)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Queue the mail. What allauth made for it, a link for example, is made anew when it is sent.

        An address without an account gets no mail, and yet one is queued: nothing tells it from an account.
        """
        if template_prefix == "account/email/unknown_account":
            mails.queue(MailKind.PASSWORD_RESET, None)
        else:
            mails.queue(MailKind(template_prefix), context["user"])

    def send_notification_mail(self, template_prefix: str, user: Any, *_args: Any, **_options: Any) -> None:
        """Queue the notice, with where the change came from."""
        mails.queue(MailKind(template_prefix), user, request=self.request)


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """OpenID Connect."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find the person by verified email, or create one for an open invitation. Everybody else is refused."""
        if sociallogin.state.get("process") == "connect":
            raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
        if sociallogin.is_existing:
            return
        emails = [address.email for address in sociallogin.email_addresses if address.verified is True]
        for email in emails:
            user = User.objects.filter(email__iexact=email).first() or self._invited(request, sociallogin, email)
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
