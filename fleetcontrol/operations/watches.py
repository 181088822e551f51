"""What an operator has to know of the programs beside the web server: worker, `tend`, queue and replica."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.utils.translation import gettext as _
from django_tasks_db.models import DBTaskResult

from fleetcontrol.db import replica
from fleetcontrol.db.clock import database_now
from fleetcontrol.duties import duties
from fleetcontrol.health import Row
from fleetcontrol.operations.models import WORKER, Report

WORKER_SILENT_AFTER = timedelta(minutes=2)  # it reports twice a minute
TEND_SILENT_AFTER = timedelta(minutes=15)  # it runs every five minutes
TASK_WAITS_TOO_LONG = timedelta(minutes=15)


def watch_worker() -> list[Row]:
    """When a worker last reported."""
    last = Report.objects.filter(name=WORKER).values_list("at", flat=True).first()
    warning = ""
    if _is_older(last, WORKER_SILENT_AFTER):
        warning = _("No worker runs: imports and mail wait. Start `manage.py db_worker`.")
    return [Row("worker", _("Worker reported"), last or _("Never"), warning)]


def watch_duties() -> list[Row]:
    """When `tend` last ran, and what came of each duty."""
    reports = {report.name: report for report in Report.objects.filter(name__in=duties())}
    last = max((report.at for report in reports.values()), default=None)
    warning = ""
    if _is_older(last, TEND_SILENT_AFTER):
        warning = _("Scheduled duties do not run. Let a timer start `manage.py tend` every five minutes.")
    rows = [Row("tend", _("Scheduled duties ran"), last or _("Never"), warning)]
    for name, report in reports.items():
        warning = ""
        if report.failed:
            warning = _("The duty %(name)s failed, see the log. %(result)s") % {"name": name, "result": report.result}
        elif not last or report.at < last - TEND_SILENT_AFTER:
            warning = _("The duty %(name)s did not run the last times.") % {"name": name}
        value = report.result or (_("Failed") if report.failed else _("Nothing to do"))
        rows.append(Row(f"duty {name}", name, value, warning.strip(), report.at))
    return rows


def watch_queue() -> list[Row]:
    """How many tasks wait for a worker, and since when."""
    waiting = DBTaskResult.objects.ready()
    oldest = waiting.order_by("enqueued_at").values_list("enqueued_at", flat=True).first()
    rows = [Row("queue", _("Tasks waiting"), waiting.count())]
    if oldest:
        warning = ""
        if _is_older(oldest, TASK_WAITS_TOO_LONG):
            warning = _("A task waits for more than 15 minutes: more workers may be needed.")
        rows.append(Row("queue since", _("Oldest task waits since"), oldest, warning))
    return rows


def watch_replica() -> list[Row]:
    """How far the replica is behind, where there is one."""
    if settings.EXPORT_DATABASE == DEFAULT_DB_ALIAS:
        return []
    try:
        lag = replica.lag()
    except DatabaseError:
        return [Row("replica", _("Replica"), _("Does not answer"), _("The replica does not answer."))]
    warning = ""
    if lag is None or lag > replica.LARGEST_LAG:
        warning = _("The replica is behind, so exports read the database itself.")
    value = _("Unknown") if lag is None else int(lag.total_seconds())
    return [Row("replica", _("Replica behind, in seconds"), value, warning)]


def _is_older(time: datetime | None, age: timedelta) -> bool:
    return time is None or time < database_now() - age
