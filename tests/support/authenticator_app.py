"""An authenticator app: what it shows for a seed, now or a number of steps away from now."""

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.totp.internal.auth import yield_hotp_counters_from_time as steps
from allauth.mfa.utils import decrypt

from fleetcontrol.people.models import User


def set_up(user: User) -> str:
    """Give the person an app, without a request. Returns its seed."""
    seed: str = generate_totp_secret()
    TOTP.activate(user, seed)
    return seed


def code(seed: str, away: int = 0) -> str:
    """The code of the seed, `away` steps of 30 seconds from now; codes of -1, 0 and 1 are valid."""
    return str(format_hotp_value(hotp_value(seed, list(steps())[1] + away)))


def seed_of(user: User) -> str:
    return str(decrypt(Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP).data["secret"]))
