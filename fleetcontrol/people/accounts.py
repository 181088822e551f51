"""How people sign in: the decisions that django-allauth leaves to a project.

Nobody can sign up. A person from the OpenID Connect provider is matched by the email that the provider verified, and
needs an account or an open invitation.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from fleetcontrol.audit.models import actor_for
from fleetcontrol.people import mails
from fleetcontrol.people.access import has_second_factor, made_with_factor
from fleetcontrol.people.addresses import known_as
from fleetcontrol.people.confirmation import PARAMETER, set_aside, signed_in_recently, take_along
from fleetcontrol.people.models import Invitation, MailKind, User
from fleetcontrol.seal import Sealed, seal

MFA_OWNER = "authenticator"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Email and password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def populate_username(self, request: HttpRequest, user: Any) -> None:
        """People have no user name."""

    def pre_login(self, request: HttpRequest, user: Any, **options: Any) -> Any:
        """Note how fresh the proof is of somebody who comes from the provider."""
        sociallogin = (options.get("signal_kwargs") or {}).get("sociallogin")
        if sociallogin is not None:
            self._note_auth_time(request, user, sociallogin)
        return super().pre_login(request, user, **options)

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        """Let allauth's pages take the same proof as all others; GateMiddleware has asked for it before."""
        return not signed_in_recently(self.request)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """How the person may confirm who they are: only by a factor if they have one which this session lacks."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if made_with_factor(self.request) or not has_second_factor(user):
            return methods
        return [method for method in methods if method["id"].startswith("mfa_")]

    def _note_auth_time(self, request: HttpRequest, user: Any, sociallogin: SocialLogin) -> None:
        """Keep, in the session's last record, when the person signed in to the provider, as its ID token says."""
        said = (sociallogin.account.extra_data.get("id_token") or {}).get("auth_time")
        auth_time = said if isinstance(said, int | float) and not isinstance(said, bool) else 0
        records = get_authentication_records(request, user)
        records[-1]["auth_time"] = auth_time
        request.session.modified = True
        take_along(request, user)
        was_to_prove = f"{PARAMETER}=" in str(sociallogin.state.get("next", ""))
        if was_to_prove and not signed_in_recently(request, user):
            words = _(
                "Your provider has not said that you signed in to it just now, so this confirms nothing. Sign in there "
                "once more, or ask who runs the provider to let it send auth_time."
            )
            messages.error(request, words)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count wrong passwords by account. allauth's own key has the Host header in it, which a visitor chooses."""
        return known_as(credentials.get("email"))

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
        set_aside(request)
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
