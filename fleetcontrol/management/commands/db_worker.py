"""`manage.py db_worker`: the worker of django-tasks-db, which also takes up what workers that died left behind.

It looks when it starts and twice a minute: a worker that is started again at once finds the work of its predecessor
not yet stalled. Mail that is due leaves then too, so that none waits for a long import. A task whose row cannot be read
fails alone: the library's worker would end with it.
"""

import logging
import threading
import time
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from fleetcontrol.duties import guarded, log_failure
from fleetcontrol.imports.work import take_up_stalled
from fleetcontrol.operations.models import WORKER, Report
from fleetcontrol.people.mails import send_due

LOOK_EVERY = 30  # seconds
AWAY_AGAIN_AFTER = 2  # seconds

logger = logging.getLogger(__name__)


class Worker(db_worker.Worker):
    def run(self) -> None:
        """The library's, which ends when the database goes; this waits until it is back."""
        while True:
            try:
                super().run()
            except (OperationalError, InterfaceError) as error:
                if connection.is_usable():
                    raise
                logger.warning("The worker waits for the database: %s", str(error).strip())
                connection.close()
                time.sleep(AWAY_AGAIN_AFTER)
            else:
                return

    def run_task(self, db_task_result: DBTaskResult[Any, Any]) -> None:
        with guarded(f"task {db_task_result.pk}"):
            super().run_task(db_task_result)


db_worker.Worker = Worker  # type: ignore[misc]  # the library's command names this class and takes no other


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
    for look in (_report, take_up_stalled, send_due):
        try:
            look()
        except Exception as error:  # noqa: BLE001 - the worker has its tasks to do all the same
            log_failure(f"The worker's look ({look.__name__})", error)


def _report() -> None:
    Report.leave(WORKER)
