"""The WSGI application: `gunicorn fleetcontrol.wsgi`."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.db import connection

from fleetcontrol import startup

WORKER_BOOT_ERROR = 3  # gunicorn stops when a worker ends with it, and starts other workers again and again

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
os.environ.setdefault("DATABASE_POOL", "8")  # enough for gunicorn's threads
try:
    application = get_wsgi_application()
    startup.require_all()
except ImproperlyConfigured as error:  # a wrong setting or key, as one sentence
    sys.stderr.write(f"{error}\n")
    sys.exit(WORKER_BOOT_ERROR)
# A server that forks after this must not share connections.
connection.close()
if connection.settings_dict.get("OPTIONS", {}).get("pool"):
    connection.close_pool()  # type: ignore[attr-defined]  # of Django's PostgreSQL backend, the only one here
