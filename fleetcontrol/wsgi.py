"""The WSGI application: `gunicorn fleetcontrol.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
os.environ.setdefault("DATABASE_POOL", "8")  # enough for gunicorn's threads
application = get_wsgi_application()
