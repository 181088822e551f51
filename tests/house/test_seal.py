"""A sealed secret opens only with its key and for its owner."""

import pytest
from cryptography.fernet import InvalidToken
from django.test import override_settings

from credentials.models import CredentialSecret
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed, SealError, fingerprint, seal
from tests.support import factory

OLD, NEW, WRONG = "old-key", "new-key", "wrong-key"


def test_a_sealed_text_opens_for_its_owner() -> None:
    assert seal("geheim ü \x00 \n", "vehicle:1").open("vehicle:1") == "geheim ü \x00 \n"


def test_a_ciphertext_copied_to_another_owner_is_refused() -> None:
    with pytest.raises(SealError, match="copied here"):
        seal("geheim", "vehicle:1").open("vehicle:2")


def test_a_new_key_in_front_still_opens_what_the_old_one_sealed() -> None:
    with override_settings(FERNET_KEYS=[OLD]):
        sealed = seal("geheim", "vehicle:1")
    with override_settings(FERNET_KEYS=[NEW, OLD]):
        assert sealed.open("vehicle:1") == "geheim"
        newer = seal("geheim", "vehicle:1")
    with override_settings(FERNET_KEYS=[NEW]):
        assert newer.open("vehicle:1") == "geheim"


def test_a_wrong_key_says_what_to_do_and_shows_no_ciphertext() -> None:
    sealed = seal("geheim", "vehicle:1")
    with override_settings(FERNET_KEYS=[WRONG]), pytest.raises(SealError) as caught:
        sealed.open("vehicle:1")
    assert "FERNET_KEYS" in str(caught.value)
    assert sealed.token.decode() not in str(caught.value)
    assert not isinstance(caught.value.__cause__, InvalidToken)


def test_a_sealed_text_shows_nothing_of_itself() -> None:
    sealed = seal("geheim", "vehicle:1")
    assert repr(sealed) == str(sealed) == f"{sealed}" == "<Sealed>"


def test_a_fingerprint_is_equal_in_one_fleet_and_differs_between_fleets_and_keys() -> None:
    assert fingerprint("geheim", "fleet:1") == fingerprint("geheim", "fleet:1")
    assert fingerprint("geheim", "fleet:1") != fingerprint("geheim", "fleet:2")
    with override_settings(FINGERPRINT_KEY="another"):
        assert fingerprint("geheim", "fleet:1") != fingerprint("geheim", "fleet:2")


@pytest.mark.django_db
def test_a_row_is_read_without_a_key_and_only_opening_it_fails(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    with override_settings(FERNET_KEYS=[WRONG]):
        secret = CredentialSecret.objects.get(credential=credential)
        assert isinstance(secret.value, Sealed)
        with pytest.raises(SealError):
            secret.open()
    assert secret.open() == {"client_secret": factory.SECRET}


@pytest.mark.django_db
def test_a_ciphertext_moved_to_another_row_is_refused(fleet: Fleet) -> None:
    one, other = factory.a_credential(fleet), factory.a_credential(fleet, values={"client_secret": "other"})
    CredentialSecret.objects.filter(credential=other).update(value=one.secret.value)
    with pytest.raises(SealError, match="copied here"):
        other.secret.open()


@pytest.mark.django_db
def test_a_plain_text_cannot_be_stored_by_mistake(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    with pytest.raises(TypeError, match="seal"):
        credential.secrets.update(value="plain")
