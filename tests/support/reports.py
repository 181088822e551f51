"""What the programs beside the web server report, without them."""

from fleetcontrol.duties import duties
from fleetcontrol.operations.models import WORKER, Report


def leave_all_reports() -> None:
    """Report as a worker and as `tend` do when all goes well."""
    for name in [WORKER, *duties()]:
        Report.leave(name)
