"""The catalogue of brands and the cleaning of input."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from credentials import brands
from credentials.brands import Brand, UnknownBrand, catalogue, find
from tests.support.certificates import a_certificate, stellantis


def test_the_catalogue_has_the_documented_brands_and_their_kinds() -> None:
    assert {brand.id: brand.kind for brand in catalogue().values()} == {
        "CLOUDBOXX": "none",
        "MERCEDES_BENZ": "shared",
        "NIU": "shared",
        "SEGWAY": "shared",
        "TESLA": "shared",
        "STELLANTIS": "shared",
        "FREE2MOVE": "shared",
        "HIGH_MOBILITY": "shared",
        "OKAI": "individual",
    }


def test_every_text_of_a_built_in_brand_is_there_in_german() -> None:
    untranslated = re.findall(r"^.*\ben ?= ?\"[^\"]*\"(?!.*\bde ?=).*$", _without_dotted(), re.M)
    assert not untranslated


@pytest.mark.parametrize("text", ["TESLA", "tesla", " Tesla "])
def test_a_brand_is_found_in_any_case(text: str) -> None:
    assert find(text).id == "TESLA"


@pytest.mark.parametrize("text", ["mercedes-benz", "Mercedes Benz", "MERCEDES_BENZ"])
def test_a_brand_is_found_with_hyphens_and_spaces(text: str) -> None:
    assert find(text).id == "MERCEDES_BENZ"


def test_an_unknown_brand_names_close_ones() -> None:
    with pytest.raises(UnknownBrand) as caught:
        find("MERCEDES")
    assert str(caught.value) == "There is no brand of this name. Did you mean MERCEDES_BENZ?"


def test_labels_follow_the_language_of_the_reader() -> None:
    label = find("NIU").field("client_id").label
    assert str(label) == "Client ID"
    with translation.override("de"):
        assert str(label) == "Client-ID"
    with translation.override("fr"):
        assert str(label) == "Client ID"


def test_the_documented_example_is_clean_without_any_setting() -> None:
    cleaned = find("MERCEDES_BENZ").clean({"client_id": " client1 \n", "client_secret": "\u200bsupersecret\r\n"})
    assert cleaned.identifier == "client1"
    assert cleaned.secret == {"client_secret": "supersecret"}
    assert cleaned.settings == {}
    assert "supersecret" not in repr(cleaned)


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"client_secret": "x"}, "client_id", "Enter the client ID."),
        ({"client_id": "x", "client_secret": "  "}, "client_secret", "Enter the client secret."),
        (
            {"client_id": "a" * 255, "client_secret": "x"},
            "client_id",
            "“Client ID” is too long: 255 characters, at most 254.",
        ),
        (
            {"client_id": "a\x00b", "client_secret": "x"},
            "client_id",
            "“Client ID” holds the character U+0000, which does not belong there. Copy it again.",
        ),
        (
            {"client_id": "a", "client_secret": "\ud800"},
            "client_secret",
            "“Client secret” holds the character U+D800, which does not belong there. Copy it again.",
        ),
        ({"client_id": 7, "client_secret": "x"}, "client_id", "“Client ID” must be a text."),
        (
            {"client_id": "a", "client_secret": "x", "region": "mars"},
            "region",
            "This is not a choice of “Region”. Choose one of: EU (Europe), NA (North America), CN (China).",
        ),
        (
            {"client_id": "a", "client_secret": "x", "api_key": "y"},
            "api_key",
            "Tesla has no field “api_key”. Its fields are: client_id, client_secret, region.",
        ),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(values: dict[str, str], field: str, sentence: str) -> None:
    assert refusals(find("TESLA"), values) == {field: [sentence]}


def test_all_problems_are_told_at_once_in_the_readers_language() -> None:
    with translation.override("de"):
        assert refusals(find("NIU"), {}) == {
            "client_id": ["Geben Sie die Client-ID ein."],
            "client_secret": ["Geben Sie das Client-Secret ein."],
        }


def test_a_choice_is_taken_in_any_case() -> None:
    cleaned = find("TESLA").clean({"client_id": "a", "client_secret": "b", "region": "eu"})
    assert cleaned.settings == {"region": "EU"}
    assert str(find("TESLA").field("region").in_words("EU")) == "Europe"


@pytest.mark.parametrize(
    "url",
    [
        "http://id.mercedes-benz.com/token",
        "https://evil.example/token",
        "https://mercedes-benz.com.evil.example/",
        "https://evilmercedes-benz.com/",
        "https://user@id.mercedes-benz.com/",
        "https://evil.example\\@id.mercedes-benz.com/",
        "https://id.mercedes-benz.com:8443/",
        "https://id.mercedes-benz.com#@evil.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "//id.mercedes-benz.com/",
        "id.mercedes-benz.com",
    ],
)
def test_an_address_must_be_https_and_of_the_brands_hosts(url: str) -> None:
    values = {"client_id": "a", "client_secret": "b", "token_url": url}
    assert list(refusals(find("MERCEDES_BENZ"), values)) == ["token_url"]


def test_an_address_of_the_brand_is_kept_with_its_host_in_small_letters() -> None:
    url = "HTTPS://ID.Mercedes-Benz.com/as/Token.oauth2?x=1"
    cleaned = find("mercedes-benz").clean({"client_id": "a", "client_secret": "b", "token_url": url})
    assert cleaned.settings["token_url"] == "https://id.mercedes-benz.com/as/Token.oauth2?x=1"


def test_replacing_a_secret_takes_only_secret_fields() -> None:
    niu = find("NIU")
    assert niu.clean({"client_secret": "new"}, partial=True).secret == {"client_secret": "new"}
    assert refusals(niu, {"client_secret": "new", "client_id": "other"}, partial=True) == {
        "client_id": ["“client_id” cannot be changed. A different value is a different credential."]
    }


def test_a_certificate_with_its_key_gives_subject_and_end() -> None:
    certificate, key = a_certificate(days=90)
    cleaned = find("STELLANTIS").clean(stellantis(certificate, key))
    assert cleaned.identifier == "client1"
    assert cleaned.settings == {"username": "fleet"}
    assert set(cleaned.secret) == {"password", "certificate", "private_key"}
    assert cleaned.ends_on == (datetime.now(UTC) + timedelta(days=90)).date()
    assert cleaned.facts["certificate_subject"] == "CN=client1"
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", cleaned.facts["certificate_fingerprint"])


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\n"])
def test_a_protected_key_opens_with_its_passphrase(line_break: str) -> None:
    certificate, key = a_certificate(passphrase="geheim")
    values = stellantis(certificate, key.replace("\n", line_break), passphrase="geheim")
    assert find("STELLANTIS").clean(values).secret["passphrase"] == "geheim"


def test_a_wrong_or_missing_passphrase_says_so() -> None:
    certificate, key = a_certificate(passphrase="geheim")
    assert refusals(find("STELLANTIS"), stellantis(certificate, key, passphrase="wrong")) == {
        "passphrase": ["The passphrase does not open this private key."]
    }
    assert refusals(find("STELLANTIS"), stellantis(certificate, key)) == {
        "passphrase": ["This private key is protected. Enter its passphrase."]
    }


def test_a_key_of_another_certificate_is_refused() -> None:
    certificate, _key = a_certificate()
    _certificate, key = a_certificate()
    assert refusals(find("STELLANTIS"), stellantis(certificate, key)) == {
        "private_key": ["This private key does not belong to the certificate."]
    }


def test_an_ended_certificate_is_refused() -> None:
    certificate, key = a_certificate(days=-1)
    (sentence,) = refusals(find("STELLANTIS"), stellantis(certificate, key))["certificate"]
    assert sentence.startswith("This certificate ended on 20")


@pytest.mark.parametrize(
    ("certificate", "key", "field"),
    [
        ("garbage", "", "certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "", "certificate"),
        ("", "garbage", "private_key"),
        ("", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "private_key"),
    ],
)
def test_what_is_not_pem_is_refused_at_its_field(certificate: str, key: str, field: str) -> None:
    good_certificate, good_key = a_certificate()
    values = stellantis(certificate or good_certificate, key or good_key)
    assert list(refusals(find("STELLANTIS"), values)) == [field]


def test_a_key_in_the_place_of_the_certificate_is_recognised() -> None:
    _certificate, key = a_certificate()
    assert refusals(find("STELLANTIS"), stellantis(key, key)) == {
        "certificate": ["This is a private key. Enter the certificate here."]
    }


@pytest.mark.parametrize(
    ("brand", "typed", "kept"),
    [
        ("TESLA", " lrw3e7fs1pc123456 ", "LRW3E7FS1PC123456"),
        ("OKAI", "356307042441013", "356307042441013"),
        ("NIU", "NBSG4C7B40647G5M", "NBSG4C7B40647G5M"),
    ],
)
def test_a_unit_id_is_kept_as_the_oem_prints_it(brand: str, typed: str, kept: str) -> None:
    assert find(brand).unit_id.clean(typed) == kept


def test_a_wrong_unit_id_says_what_is_right() -> None:
    with pytest.raises(ValidationError) as caught:
        find("OKAI").unit_id.clean("12345")
    assert caught.value.messages == ["An IMEI has 15 digits."]


def refusals(brand: Brand, values: dict[str, str], *, partial: bool = False) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        brand.clean(values, partial=partial)
    return caught.value.message_dict


def _without_dotted() -> str:
    """Return the built-in file without its lines of a single language, such as note.en."""
    return re.sub(r"^\w+\.(en|de) = .*$", "", brands.BUILT_IN.read_text(encoding="utf-8"), flags=re.M)
