"""`manage.py reseal`: encrypt every secret again with the newest of FERNET_KEYS, so that older keys can be removed.

It runs beside a working FleetControl, in batches of a thousand rows. Each batch is a transaction that verifies what it
wrote. After an interruption it continues where it stopped, because it skips what the newest key already opens.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from tqdm import tqdm

from fleetcontrol import seal
from fleetcontrol.audit.keys import forget_old_fernet_keys
from fleetcontrol.audit.models import Actor, AuditEvent, Target
from fleetcontrol.duties import each, failed_items

BATCH = 1000
MOST_NAMED = 10  # rows in the message that no key opens
TOKEN_START = "gAAAAA"  # noqa: S105 - the start of every Fernet token of this century

type Row = tuple[Any, Any]  # primary key and value


class Age(IntEnum):
    """Which key opens a value. Of several tokens, the one with the oldest key counts."""

    NEWEST = 0
    OLDER = 1
    LOST = 2  # no key opens it


class Command(BaseCommand):
    help = "Seal every stored secret again with the newest key of FERNET_KEYS, so that the older keys can go."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what older keys have sealed")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        columns = [Column(model, name) for model, name in seal.sealed_columns()]
        # The seeds of second factors are encrypted too, in a table of allauth's.
        columns.append(Column(Authenticator, "data"))
        older, lost, failed = 0, [], []
        for column in columns:
            rows, resealed = 0, 0
            for batch in tqdm(column.batches(), desc=str(column), unit=" thousand", disable=None, leave=False):
                ages = {pk: age(value) for pk, value in batch}
                rows += len(batch)
                lost += [f"{column} {pk}" for pk, key_age in ages.items() if key_age is Age.LOST]
                old = [pk for pk, key_age in ages.items() if key_age is Age.OLDER]
                older += len(old)
                if not dry_run:
                    with failed_items() as items:
                        resealed += each(str(column), old, column.reseal)
                    failed += items
            words = _("%(column)s: %(rows)s rows, %(resealed)s sealed again")
            self.stdout.write(words % {"column": column, "rows": rows, "resealed": resealed})
        if failed:
            words = _("These rows could not be sealed again, see the log; all others were: %(rows)s.")
            raise CommandError(words % {"rows": _named(failed)})
        if not dry_run and not lost:
            forget_old_fernet_keys()
        self._conclude(older if dry_run else 0, lost)

    def _conclude(self, older: int, lost: list[str]) -> None:
        if lost:
            words = ngettext(
                "%(count)s secret cannot be opened with any key of FERNET_KEYS and stays as it is: %(rows)s. "
                "Add the key that sealed it, or replace the secret, before you take a key away.",
                "%(count)s secrets cannot be opened with any key of FERNET_KEYS and stay as they are: %(rows)s. "
                "Add the keys that sealed them, or replace the secrets, before you take a key away.",
                len(lost),
            )
            raise CommandError(words % {"count": len(lost), "rows": _named(lost)})
        if older:
            words = ngettext(
                "%(count)s secret is sealed with an older key: keep it in FERNET_KEYS, and run this without --dry-run.",
                "%(count)s secrets are sealed with older keys: keep them in FERNET_KEYS, and run this without "
                "--dry-run.",
                older,
            )
            self.stdout.write(words % {"count": older})
            return
        self.stdout.write(
            _(
                "The newest key opens every secret. If all processes of FleetControl were started with it in first "
                "place before this ran, the older keys can go from FERNET_KEYS. Keep them with the older backups."
            )
        )


def _named(rows: list[str]) -> str:
    return ", ".join(rows[:MOST_NAMED]) + (", …" if len(rows) > MOST_NAMED else "")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of encrypted values: `Sealed` ones, or JSON in which some texts are tokens."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.name}"

    def batches(self) -> Iterator[list[Row]]:
        """All rows with a value, ordered by primary key, in batches."""
        filled = self.model._default_manager.filter(**{f"{self.name}__isnull": False}).order_by("pk")
        batch = list(filled.values_list("pk", self.name)[:BATCH])
        while batch:
            yield batch
            batch = list(filled.filter(pk__gt=batch[-1][0]).values_list("pk", self.name)[:BATCH])

    def reseal(self, pks: Sequence[Any]) -> int:
        """Encrypt these rows again and verify what was written. Returns the number of rows.

        Reads them again under a lock, because somebody may have replaced or erased a secret in the meantime.
        """
        if not pks:
            return 0
        rows = self.model._default_manager.filter(pk__in=pks, **{f"{self.name}__isnull": False}).order_by("pk")
        with transaction.atomic():
            locked = list(rows.select_for_update().values_list("pk", self.name))
            resealed = {
                pk: replace_tokens(value, seal.fernet().rotate) for pk, value in locked if age(value) is Age.OLDER
            }
            self._write(resealed)
            written = dict(rows.filter(pk__in=resealed).values_list("pk", self.name))
            for pk, value in resealed.items():
                if age(value) is not Age.NEWEST or tokens(written[pk]) != tokens(value):
                    raise CommandError(_("%(row)s was not written as it should be.") % {"row": f"{self} {pk}"})
            if resealed:
                what = Target("column", label=str(self))
                AuditEvent.record(None, Actor.command("reseal"), "secret.reseal", what, {"rows": [None, len(resealed)]})
        return len(resealed)

    def _write(self, values: dict[Any, Any]) -> None:
        """Replace the values of all rows in one statement."""
        key, column = self.model._meta.pk, self.model._meta.get_field(self.name)
        table, key_name, column_name = map(
            connection.ops.quote_name, (self.model._meta.db_table, key.attname, self.name)
        )
        statement = (
            f"UPDATE {table} SET {column_name} = new.value "  # noqa: S608 - names out of the models
            f"FROM unnest(%s::{key.rel_db_type(connection)}[], %s::{column.db_type(connection)}[]) AS new (pk, value) "
            f"WHERE {table}.{key_name} = new.pk"
        )
        plain = [value.token if isinstance(value, seal.Sealed) else json.dumps(value) for value in values.values()]
        with connection.cursor() as cursor:
            cursor.execute(statement, [list(values), plain])


def age(value: Any) -> Age:
    """The age of the oldest token in a value."""
    return max((_age(token) for token in tokens(value)), default=Age.NEWEST)


def _age(token: bytes) -> Age:
    for newest_only, age_if_opened in ((True, Age.NEWEST), (False, Age.OLDER)):
        try:
            seal.fernet(newest_only=newest_only).decrypt(token)
        except InvalidToken:
            continue
        return age_if_opened
    return Age.LOST


def tokens(value: Any) -> list[bytes]:
    """All tokens in a value."""
    collected: list[bytes] = []

    def collect(token: bytes) -> bytes:
        collected.append(token)
        return token

    replace_tokens(value, collect)
    return collected


def replace_tokens(value: Any, replace: Callable[[bytes], bytes]) -> Any:
    """The value with every token in it replaced by `replace`."""
    match value:
        case seal.Sealed():
            return seal.Sealed(replace(value.token))
        case str() if value.startswith(TOKEN_START):
            return replace(value.encode()).decode()
        case dict():
            return {key: replace_tokens(inner, replace) for key, inner in value.items()}
        case list():
            return [replace_tokens(inner, replace) for inner in value]
    return value
