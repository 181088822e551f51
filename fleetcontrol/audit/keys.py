"""Check values of keys: the database knows with which keys its rows were made, without knowing the keys.

A wrong key does damage that nobody sees: another FINGERPRINT_KEY finds no leaked secret, another AUDIT_KEY brands true
events as changed, and what other FERNET_KEYS seal does not open beside the rest. So a process that uses a key first
compares it with its KeyCheck. A key without one is taken if it fits what is stored, and gets one then.

FERNET_KEYS has a check value for every key that was the newest one. One known key in the ring is enough, so that during
a rotation processes with `new,old` and with `old` start side by side. `manage.py reseal` forgets the others.
"""

from __future__ import annotations

import hmac
import logging

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction

from fleetcontrol import seal
from fleetcontrol.audit.models import AuditChain, AuditSeal, KeyCheck
from fleetcontrol.environment import is_strong

log = logging.getLogger(__name__)


class WrongKey(ImproperlyConfigured):
    """A key is not the one that this database was used with. The message is a sentence for the operator."""


def require_keys() -> None:
    """Compare FERNET_KEYS and FINGERPRINT_KEY with the database. Raises WrongKey.

    A database that does not answer, or has no tables yet, is no reason to stop: /health/ asks again.
    """
    try:
        with transaction.atomic():
            problems = key_problems()
    except DatabaseError:
        return
    if problems:
        raise WrongKey(problems[0])


def warn_of_weak_keys() -> None:
    """Log which older keys are weak. The settings refuse a weak newest key."""
    for name in ("FERNET_KEYS", "TOKEN_KEYS"):
        for number, key in enumerate(getattr(settings, name), start=1):
            if number > 1 and not is_strong(key) and not (name == "TOKEN_KEYS" and key in settings.FERNET_KEYS):
                log.warning("Key %s of %s is weak. Take it away when the newer keys have replaced it.", number, name)


def missing_keys() -> int:
    """How many keys have sealed secrets, are not in FERNET_KEYS, and were not forgotten by `manage.py reseal`."""
    ring = [check_value("FERNET_KEYS", key) for key in settings.FERNET_KEYS]
    return KeyCheck.objects.filter(name="FERNET_KEYS").exclude(digest__in=ring).count()


def key_problems() -> list[str]:
    """Sentences about keys that are not those of this database. Records check values of new keys."""
    problems = []
    if not _fernet_keys_fit():
        problems.append(
            "FERNET_KEYS does not open the secrets in the database: none of its keys was used with it. "
            "Put back the key that sealed them; a new key comes in front of it, as README.md says under Key rotation."
        )
    if not _fits_only_check("FINGERPRINT_KEY", settings.FINGERPRINT_KEY):
        problems.append(
            "FINGERPRINT_KEY is not the one that made the fingerprints in the database, so that leaked secrets would "
            "not be found. Put back the former FINGERPRINT_KEY."
        )
    return problems


def require_audit_key() -> None:
    """Compare AUDIT_KEY with the database. Raises WrongKey. Without AUDIT_KEY, whoever uses it says that it is missing.

    The first seal decides where there is one: a check value that somebody changed in the database stops nobody.
    """
    key = settings.AUDIT_KEY
    if not key:
        return
    digest = check_value("AUDIT_KEY", key)
    known = AuditChain.objects.values_list("key_check", flat=True).first() or ""
    first = AuditSeal.objects.filter(number=1).defer("leaves").first()
    if (first is None and not known) or (first and hmac.compare_digest(first.head, first.expected_head("", ""))):
        if known != digest:
            # In a table that the web process's role only reads, so that it cannot stop the sealing with another value.
            AuditChain.objects.update_or_create(defaults={"key_check": digest})
    elif known != digest:
        raise WrongKey(
            "AUDIT_KEY is not the key that sealed this audit trail. Nothing was sealed, verified or removed. "
            "Put back the former AUDIT_KEY; if this is the former one, somebody else sealed the trail again."
        )


def forget_old_fernet_keys() -> int:
    """Forget keys that are no longer in FERNET_KEYS. Returns how many."""
    kept = [check_value("FERNET_KEYS", key) for key in settings.FERNET_KEYS]
    return KeyCheck.objects.filter(name="FERNET_KEYS").exclude(digest__in=kept).delete()[0]


def check_value(name: str, key: str) -> str:
    """A keyed digest (64 hex digits) of a constant. It tells two keys apart and nothing of them."""
    return hmac.digest(key.encode(), f"fleetcontrol key check\x00{name}".encode(), "sha256").hex()


def _fernet_keys_fit() -> bool:
    known = set(KeyCheck.objects.filter(name="FERNET_KEYS").values_list("digest", flat=True))
    ring = [check_value("FERNET_KEYS", key) for key in settings.FERNET_KEYS]
    if known.isdisjoint(ring) if known else not seal.keys_fit():
        return False
    if ring[0] not in known:
        _record("FERNET_KEYS", settings.FERNET_KEYS[0])
    return True


def _fits_only_check(name: str, key: str) -> bool:
    """Whether the key is the one of its check value; a key that has none yet gets it."""
    known = KeyCheck.objects.filter(name=name)
    if not known.exists():
        _record(name, key)
    return known.filter(digest=check_value(name, key)).exists()


def _record(name: str, key: str) -> None:
    """Store a check value. Of two processes that do so at once, the first wins where there can be only one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean")
        if cursor.fetchone()[0]:
            return
    KeyCheck.objects.bulk_create([KeyCheck(name=name, digest=check_value(name, key))], ignore_conflicts=True)
