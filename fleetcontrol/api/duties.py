"""What `manage.py tend` does for the API."""

from fleetcontrol.api.models import KeptAnswer, Tally
from fleetcontrol.duties import guarded


def erase_kept_answers() -> str:
    """Erase the answers kept for repeated requests once they have ended, and the counts of past minutes."""
    erased = 0
    for kind, erase in (("kept answers", KeptAnswer.erase_ended), ("tallies", Tally.erase_ended)):
        with guarded(kind):
            erased += erase()
    return f"{erased} erased" if erased else ""
