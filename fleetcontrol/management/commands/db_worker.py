"""`manage.py db_worker`: the worker of django-tasks-db, which also takes up what workers that died left behind.

It looks when it starts and twice a minute: a worker that is started again at once finds the work of its predecessor
not yet stalled. Mail that is due leaves then too, so that none waits for a long import.
"""

import logging
import threading
from typing import Any

from django.db import connection
from django_tasks_db.management.commands import db_worker

from fleetcontrol.imports.work import take_up_stalled
from fleetcontrol.people.mails import send_due

LOOK_EVERY = 30  # seconds

logger = logging.getLogger(__name__)


class Command(db_worker.Command):
    def handle(self, **options: Any) -> None:
        ended = threading.Event()
        watch = threading.Thread(target=_look_until, args=(ended,), daemon=True)
        _look()
        watch.start()
        try:
            super().handle(**options)
        finally:
            ended.set()
            watch.join()


def _look_until(ended: threading.Event) -> None:
    while not ended.wait(LOOK_EVERY):
        _look()
        connection.close()


def _look() -> None:
    for look in (take_up_stalled, send_due):
        try:
            look()
        except Exception:  # the worker has its tasks to do all the same
            logger.exception("What was left could not be taken up (%s).", look.__name__)
