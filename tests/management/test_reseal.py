"""Key rotation: reseal misses and loses nothing, and says when the older key can be removed."""

from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from cryptography.fernet import InvalidToken
from django.core.management import CommandError, call_command
from django.db import connection

from credentials.models import Credential, CredentialSecret
from fleetcontrol import seal
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from vehicles.models import Vehicle

OLD, NEW = "old-key-of-the-tests", "new-key-of-the-tests"


@pytest.fixture(autouse=True)
def old_key(settings: Any) -> None:
    settings.FERNET_KEYS = [OLD]


@pytest.fixture
def credential(fleet: Fleet) -> Credential:
    """Return a credential whose two versions hold the same secret."""
    credential = factory.a_credential(fleet)
    credential.rotate(actor=factory.TEST, values={"client_secret": "another-secret"})
    return credential


@pytest.fixture
def scooter(fleet: Fleet) -> Vehicle:
    return factory.a_vehicle(fleet, telematics_brand="OKAI", telematics_unit_id="1" * 15, password="of the unit")


def reseal(*options: str) -> str:
    output = StringIO()
    call_command("reseal", *options, stdout=output)
    return output.getvalue()


def tokens_that_only_older_keys_open() -> list[str]:
    """Search every column of every table, whether or not a model knows it."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND data_type NOT IN ('boolean', 'integer', 'bigint')"
        )
        for table, column, kind in cursor.fetchall():
            text = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            cursor.execute(f"SELECT regexp_matches({text}, 'gAAAAA[A-Za-z0-9_=-]+', 'g') FROM \"{table}\"")
            for ((token,),) in cursor.fetchall():
                try:
                    seal.fernet(newest_only=True).decrypt(token)
                except InvalidToken:
                    found.append(f"{table}.{column}")
    return found


def test_afterwards_the_new_key_alone_opens_everything(
    credential: Credential, scooter: Vehicle, alice: Any, settings: Any
) -> None:
    totp_seed = generate_totp_secret()
    TOTP.activate(alice, totp_seed)
    codes = RecoveryCodes.activate(alice).get_unused_codes()
    settings.FERNET_KEYS = [NEW, OLD]
    assert set(tokens_that_only_older_keys_open()) >= {
        "credentials_credentialsecret.value",
        "vehicles_vehicle.unit_password",
    }
    output = reseal()
    assert "credentials.CredentialSecret.value: 2 rows, 2 sealed again\n" in output
    assert "vehicles.Vehicle.unit_password: 1 rows, 1 sealed again\n" in output
    assert "The newest key opens every secret." in output
    assert tokens_that_only_older_keys_open() == []
    settings.FERNET_KEYS = [NEW]
    assert credential.secret.open() == {"client_secret": "another-secret"}
    assert Vehicle.objects.get().open_password() == "of the unit"
    factors = {factor.type: factor.wrap() for factor in Authenticator.objects.filter(user=alice)}
    counter = next(yield_hotp_counters_from_time())
    assert factors["totp"].validate_code(format_hotp_value(hotp_value(totp_seed, counter)))
    assert factors["recovery_codes"].get_unused_codes() == codes


def test_a_second_run_changes_nothing(credential: Credential, settings: Any) -> None:
    settings.FERNET_KEYS = [NEW, OLD]
    reseal()
    stored = list(CredentialSecret.objects.values_list("pk", "value"))
    events = AuditEvent.objects.count()
    assert "2 rows, 0 sealed again" in reseal()
    assert [(pk, value.token) for pk, value in stored if value] == [
        (pk, value.token) for pk, value in CredentialSecret.objects.values_list("pk", "value") if value
    ]
    assert AuditEvent.objects.count() == events


def test_a_dry_run_counts_and_changes_nothing(credential: Credential, settings: Any) -> None:
    settings.FERNET_KEYS = [NEW, OLD]
    output = reseal("--dry-run")
    assert "2 secrets are sealed with older keys: keep them in FERNET_KEYS" in output
    settings.FERNET_KEYS = [OLD]
    assert credential.secret.open() == {"client_secret": "another-secret"}


def test_what_no_key_opens_is_named_and_kept(credential: Credential, scooter: Vehicle, settings: Any) -> None:
    settings.FERNET_KEYS = [NEW]
    scooter.change(actor=factory.TEST, password="with the new key")
    before = [value.token for value in CredentialSecret.objects.values_list("value", flat=True) if value]
    pk = credential.secret.pk
    with pytest.raises(CommandError, match=rf"2 secrets cannot be opened .* credentials.CredentialSecret.value {pk}"):
        reseal()
    assert [value.token for value in CredentialSecret.objects.values_list("value", flat=True) if value] == before


def test_it_is_in_the_audit_trail(credential: Credential, settings: Any) -> None:
    settings.FERNET_KEYS = [NEW, OLD]
    reseal()
    event = AuditEvent.objects.get(action="secret.reseal")
    assert (event.target_label, event.changes) == ("credentials.CredentialSecret.value", {"rows": [None, 2]})
