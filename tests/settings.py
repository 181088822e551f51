"""The settings of the tests: those of the product, with a separate database that may be lost."""

from fleetcontrol.environment import embedded_database
from fleetcontrol.settings import *  # noqa: F403 - all of them
from fleetcontrol.settings import DATABASES, STORAGES, TRIAL, VAR_DIR, env

if TRIAL:
    DATABASES["default"] = embedded_database(env, VAR_DIR / "postgres-test", durable=False)
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STYLEGUIDE = True
