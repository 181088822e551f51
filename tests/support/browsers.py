"""Browsers of signed-in people, for tests without a real browser."""

import time

from django.test import Client

from fleetcontrol.people.models import User


def signed_in(user: User, *, fresh: bool = True) -> Client:
    """Return a browser of the person. With `fresh`, they have just proved who they are."""
    client = Client()
    client.force_login(user)
    if fresh:
        session = client.session
        session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
    return client


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
