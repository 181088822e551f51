"""What `manage.py tend` does for the API."""

from fleetcontrol.api.models import KeptAnswer, Tally


def erase_kept_answers() -> str:
    """Erase the answers that were kept for repeated requests, and the counts of minutes that are over."""
    erased = KeptAnswer.erase_ended() + Tally.erase_ended()
    return f"{erased} erased" if erased else ""
