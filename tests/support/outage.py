"""What people and programs ask of a web server whose database stops or freezes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.database_server import Answer, DatabaseServer, Web, environment_of, manage

type Asks = dict[str, Callable[[], Answer]]

OURS = {"Host": "fleet.example.com", "X_Forwarded_Proto": "https", "X_Forwarded_For": "203.0.113.7"}
SEED = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.conf import settings
from importlib import import_module
from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Role
from fleetcontrol.web.session_cookie import cookie_of
from tests.support import factory
fleet = factory.a_fleet(name="Nord")
vera = factory.a_member(fleet, Role.VIEWER, name="Vera")
client, secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(vera.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = vera.get_session_auth_hash()
session.save()
print(cookie_of(session.session_key), client.client_id, secret)
"""


def asks_of(web: Web, database: DatabaseServer) -> Asks:
    """What a person and a program ask for, by its name."""
    seeded = manage(environment_of(database), "shell", "--verbosity=0", "-c", SEED)
    assert seeded.returncode == 0, seeded.stderr
    cookie, client_id, secret = seeded.stdout.split()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}

    def token() -> Answer:
        return web.post("/auth/oauth/token", form, **OURS)

    bearer = f"Bearer {token().json()['access_token']}"
    return {
        "page": lambda: web.get("/f/nord/vehicles/", Cookie=f"__Host-session={cookie}", **OURS),
        "in German": lambda: web.get(
            "/f/nord/vehicles/", Cookie=f"__Host-session={cookie}", Accept_Language="de", **OURS
        ),
        "API": lambda: web.get("/vehicles", Authorization=bearer, **OURS),
        "token": token,
    }


@contextmanager
def stopped(database: DatabaseServer) -> Iterator[None]:
    database.stop()
    try:
        yield
    finally:
        database.start()


@contextmanager
def frozen(database: DatabaseServer) -> Iterator[None]:
    database.freeze()
    try:
        yield
    finally:
        database.thaw()


def until_all_work(asks: Asks) -> None:
    waiting = dict(asks)
    for _time in range(100):
        waiting = {name: ask for name, ask in waiting.items() if ask().status != 200}
        if not waiting:
            return
        time.sleep(0.1)
    raise AssertionError(f"not back: {', '.join(waiting)}")
