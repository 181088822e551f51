"""Secrets that were typed into a form and not refused, kept for ten minutes so that nobody has to type them twice.

A secret is never sent to the browser, so a form that comes back because an OEM did not answer has lost it. Its secrets
wait on the server instead: sealed, for ten minutes, under a random token that is all the form sends. They open only for
the person, the session and the form that they were typed into; a form says itself what else it is bound to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from secrets import token_urlsafe

from django.core.cache import cache
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from fleetcontrol.seal import Sealed, SealError, seal

KEPT_FOR = timedelta(minutes=10)
FIELD = "typed_secrets"


class TypedSecrets:
    """What is kept for the form that this request shows or sends.

    `place` names the form and what it is about, such as brand and credential. The form sends `token` back, which is ""
    if nothing is kept. `values` are the secrets by field. `is_gone` is whether the form relied on secrets that are kept
    no longer, or not for this person and form.
    """

    def __init__(self, request: HttpRequest, *place: object) -> None:
        session = request.session.session_key
        self._owner = ":".join(["typedsecrets", str(request.user.pk), str(session), *map(str, place)])
        self.token = request.POST.get(FIELD, "")[:64]
        self.values = self._open()
        self.is_gone = bool(self.token) and not self.values
        if self.is_gone:
            self.token = ""

    @sensitive_variables()
    def keep(self, values: Mapping[str, str]) -> None:
        """Keep these for ten minutes from now, under a new token, instead of what was kept before."""
        former, self.token = self.token, token_urlsafe(16)
        self.values = dict(values)
        sealed = seal(json.dumps(self.values), self._owner)
        cache.set(_key(self.token), sealed.token.decode(), KEPT_FOR.total_seconds())
        if former:
            cache.delete(_key(former))

    def forget(self) -> None:
        """Erase what is kept."""
        if self.token:
            cache.delete(_key(self.token))
        self.token, self.values = "", {}

    @sensitive_variables()
    def _open(self) -> dict[str, str]:
        sealed = cache.get(_key(self.token)) if self.token else None
        if sealed is None:
            return {}
        try:
            values: dict[str, str] = json.loads(Sealed(sealed.encode()).open(self._owner))
        except SealError:  # typed by somebody else or into another form, or sealed with a key that is gone
            return {}
        return values


def _key(token: str) -> str:
    return f"{FIELD}:{token}"
