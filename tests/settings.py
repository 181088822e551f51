"""Settings of the tests: the product's, with a separate database that a crash may lose."""

from fleetcontrol.environment import embedded_database
from fleetcontrol.settings import *  # noqa: F403 - all of them
from fleetcontrol.settings import ALLOWED_HOSTS, DATABASES, STORAGES, TRIAL, VAR_DIR, env

if TRIAL:
    DATABASES["default"] = embedded_database(env, VAR_DIR / "postgres-test", durable=False)
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STYLEGUIDE = True
ADMINISTRATORS_NEED_SECOND_FACTOR = False  # as in a trial; tests of second factors set it
# Not where quickstart collects them: each test client would read all of these files again, 0.4 s a client.
STATIC_ROOT = VAR_DIR / "static-of-tests"
# Servers of tests listen on any port, also where the database is not a trial's.
HOSTS_ON_ANY_PORT = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS += HOSTS_ON_ANY_PORT
