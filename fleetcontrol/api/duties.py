"""What `manage.py tend` does for the API."""

from fleetcontrol.api.models import KeptAnswer, Tally


def erase_kept_answers() -> str:
    """Erase the answers kept for repeated requests once they have ended, and the counts of past minutes."""
    erased = KeptAnswer.erase_ended() + Tally.erase_ended()
    return f"{erased} erased" if erased else ""
