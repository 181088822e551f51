"""Codes of second factors: each is taken once, at the sign-in, when confirming who one is, and when setting up an app.

allauth remembers a code for 30 seconds and per code; a code lives for 90. So its forms are extended here, and the
database refuses the second use.
"""

from __future__ import annotations

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt

from fleetcontrol.people.models import UsedCode, User


class CodeOnce:
    """Extends a form that takes the code of an authenticator app or a recovery code."""

    user: User
    authenticator: Authenticator

    def clean_code(self) -> str:
        try:
            code: str = super().clean_code()  # type: ignore[misc]  # the form's
        except Authenticator.DoesNotExist:  # recovery codes that were replaced at this moment
            raise get_adapter().validation_error("incorrect_code") from None
        factor = self.authenticator
        if factor.type == Authenticator.Type.TOTP and not take_code(self.user, decrypt(factor.data["secret"]), code):
            self._emit_authentication_failed(factor)  # type: ignore[attr-defined]  # the form's
            raise get_adapter().validation_error("incorrect_code")
        return code


class AuthenticateForm(CodeOnce, base.AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The second step of a sign-in."""


class ReauthenticateForm(CodeOnce, base.ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """Confirming that it is you."""


class ActivateTOTPForm(totp.ActivateTOTPForm):  # type: ignore[misc]  # allauth has no types
    """Setting up an authenticator app. The code that proves it does not sign in afterwards."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        if not take_code(self.user, self.secret, code):
            raise get_adapter().validation_error("incorrect_code")
        return code


def take_code(user: User, seed: str, code: str) -> bool:
    """Use up a code that the app with this seed shows now or, within the tolerance, just before or after."""
    steps = [
        step
        for step in yield_hotp_counters_from_time()
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(seed, step)))
    ]
    return bool(steps) and UsedCode.take(user, seed=seed, step=max(steps))
