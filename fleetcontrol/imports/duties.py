"""What `manage.py tend` does for imports, and for the tasks in which they run."""

from django.core.management import call_command
from django_tasks_db.models import DBTaskResult

from fleetcontrol.imports.models import ImportRun
from fleetcontrol.imports.work import take_up_stalled

_TASKS_KEPT_DAYS = 7


def take_up_imports() -> str:
    """Take up the work of processes that died."""
    taken_up, failed = take_up_stalled()
    return f"{taken_up} taken up again, {failed} failed" if taken_up or failed else ""


def erase_left_imports() -> str:
    """Erase the files of imports that people left unfinished."""
    erased = ImportRun.erase_left_files()
    return f"{erased} erased" if erased else ""


def prune_tasks() -> str:
    """Delete the records of tasks that ended a week ago."""
    before = DBTaskResult.objects.finished().count()
    call_command("prune_db_task_results", min_age_days=_TASKS_KEPT_DAYS, queue_name="*", verbosity=0)
    pruned = before - DBTaskResult.objects.finished().count()
    return f"{pruned} deleted" if pruned > 0 else ""
