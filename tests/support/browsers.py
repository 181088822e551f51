"""Browsers of signed-in people, for tests without a real browser."""

import time

from allauth.mfa.models import Authenticator
from django.test import Client

from fleetcontrol.people.models import User


def signed_in(user: User, *, fresh: bool = True, factor: bool = False) -> Client:
    """Return a browser of the person. With `fresh`, they have just proved who they are, with `factor` by a passkey."""
    client = Client()
    client.force_login(user)
    if fresh:
        session = client.session
        session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
        session["account_authentication_methods_user"] = str(user.pk)
        if factor:
            key, _new = Authenticator.objects.get_or_create(
                user=user, type=Authenticator.Type.WEBAUTHN, defaults={"data": {"name": "Key"}}
            )
            record = {"method": "mfa", "id": key.pk, "type": key.type, "at": time.time()}
            session["account_authentication_methods"] = [record]
        session.save()
    return client


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
