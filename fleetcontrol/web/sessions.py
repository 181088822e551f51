"""Sessions that end: after a time without use, and some time after the sign-in however much they are used.

The table says when, by the database's clock, and a session that is over is not loaded, whichever page asks. Using one
moves its end only when it is saved; `LastSeenMiddleware` saves every few minutes, so that a request costs no write.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db.models import Value
from django.db.models.functions import Least, Now
from django.http import HttpRequest

from fleetcontrol.db.clock import database_now

BEGAN = "began"  # when the person signed in, as ISO 8601


class SessionStore(DatabaseStore):
    """Django's sessions in the database, which end as the settings SESSION_IDLE and SESSION_LONGEST say."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def load(self) -> dict[str, Any]:
        row = Session.objects.filter(session_key=self.session_key, expire_date__gt=Now()).first()
        if row is None:
            self._session_key = None
            return {}
        return dict(self.decode(row.session_data))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.expire_date = Now() + settings.SESSION_IDLE
        if BEGAN in data:
            last_moment = datetime.fromisoformat(data[BEGAN]) + settings.SESSION_LONGEST
            row.expire_date = Least(row.expire_date, Value(last_moment))
        return row


def begin(request: HttpRequest, **_kwargs: Any) -> None:
    """Count a session's time from a sign-in."""
    request.session[BEGAN] = database_now().isoformat()


user_logged_in.connect(begin)
