"""OEM credentials, the versions of their secrets, tokens of OEMs, notices about credentials, and webhooks."""

from credentials.models.credential import (
    ATTENTION_BEFORE_END,
    SILENT_TIMES,
    TROUBLED,
    VERDICT_FIELDS,
    Credential,
    CredentialInUse,
    Loan,
    NothingToRevertTo,
    ReplacedMeanwhile,
    ReportedTooSoon,
    SecretRefused,
    SignInFailed,
    Status,
    TooManyWait,
    shared_brand,
)
from credentials.models.notice import Notice, NoticeEmail, NoticeKind
from credentials.models.secret import CredentialSecret, fingerprints_of, may_look_for
from credentials.models.token import OemToken
from credentials.models.webhook import Webhook

__all__ = [
    "ATTENTION_BEFORE_END",
    "SILENT_TIMES",
    "TROUBLED",
    "VERDICT_FIELDS",
    "Credential",
    "CredentialInUse",
    "CredentialSecret",
    "Loan",
    "NothingToRevertTo",
    "Notice",
    "NoticeEmail",
    "NoticeKind",
    "OemToken",
    "ReplacedMeanwhile",
    "ReportedTooSoon",
    "SecretRefused",
    "SignInFailed",
    "Status",
    "TooManyWait",
    "Webhook",
    "fingerprints_of",
    "may_look_for",
    "shared_brand",
]
