"""OEM credentials, the versions of their secrets, tokens got with them, and what is told about them."""

from credentials.models.checkable import CHECK_FIELDS, SILENT_TIMES, SecretRefused, Status
from credentials.models.credential import Credential, CredentialInUse, shared_brand
from credentials.models.notice import Notice, NoticeKind
from credentials.models.queryset import ATTENTION_BEFORE_END, IDLE_AFTER, TROUBLED
from credentials.models.rotatable import NothingToRevertTo, ReplacedMeanwhile
from credentials.models.secret import CredentialSecret, fingerprints_of
from credentials.models.usable import Loan, OemToken, SignInFailed, TooManyWait
from credentials.models.webhook import Webhook, signature

__all__ = [
    "ATTENTION_BEFORE_END",
    "CHECK_FIELDS",
    "IDLE_AFTER",
    "SILENT_TIMES",
    "TROUBLED",
    "Credential",
    "CredentialInUse",
    "CredentialSecret",
    "Loan",
    "NothingToRevertTo",
    "Notice",
    "NoticeKind",
    "OemToken",
    "ReplacedMeanwhile",
    "SecretRefused",
    "SignInFailed",
    "Status",
    "TooManyWait",
    "Webhook",
    "fingerprints_of",
    "shared_brand",
    "signature",
]
