"""An operator's file of brands: what it may add, and how its mistakes are reported."""

from datetime import date
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import translation

from credentials import brands
from credentials.brands import Brand, StoredAs, find
from credentials.brands import file as brand_file
from tests.credentials.test_brands import refusals

OWN = """
[BOLIDE]
name = "Bolide"
kind = "shared"
hosts = ["auth.bolide.example"]
unit_id.label.en = "Serial"
fields.account = { kind = "identifier", label.en = "Account", label.de = "Konto" }
[BOLIDE.fields.api_key]
kind = "secret"
label = "API key"
pattern = "[a-z]{4}-[0-9]{4}"
example = "abcd-1234"
[BOLIDE.sign_in]
url = "https://auth.bolide.example/token"
client = "basic"
"""


def test_an_operators_file_adds_a_brand(tmp_path: Path) -> None:
    brand = read(tmp_path, OWN)["BOLIDE"]
    assert brand.tile == "BO"
    assert [(f.key, f.stored_as) for f in brand.fields] == [
        ("account", StoredAs.IDENTIFIER),
        ("api_key", StoredAs.SECRET),
    ]
    with translation.override("de"):
        assert str(brand.fields[0].label) == "Konto"
    assert refusals(brand, {"account": "a", "api_key": "zzz"}) == {
        "api_key": ["“API key” does not have the expected form. It looks like abcd-1234."]
    }


def test_an_operators_file_may_add_a_sign_in_to_a_brand_that_has_none(tmp_path: Path) -> None:
    added = read(tmp_path, '[NIU]\nhosts = ["a.niu.example"]\nsign_in.url = "https://a.niu.example/t"')
    assert added["NIU"].sign_in is not None
    assert added["NIU"].fields == find("NIU").fields


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (OWN.replace("name =", "nmae ="), "brand BOLIDE, key nmae: is not known"),
        (OWN.replace('"shared"', '"mutual"'), "brand BOLIDE, key kind: must be one of shared"),
        (OWN.replace('kind = "secret"', 'kind = "hidden"'), "key fields.api_key.kind: must be one"),
        (OWN.replace('kind = "secret"', 'kind = "text"'), "brand BOLIDE, key fields: a brand"),
        (OWN.replace("[a-z]{4}", "([a-z]{4}"), "key fields.api_key.pattern: is not a regular"),
        (OWN.replace("https://auth", "http://auth"), "key sign_in.url: http://auth"),
        (OWN.replace("/token", "/{region}"), "key sign_in.url: {region} must be a choice"),
        (
            OWN.replace("https://auth.b", "https://evil.b"),
            "must be https and of one of the brand's",
        ),
        (
            OWN.replace('"auth.bolide.example"]', '"10.0.0.1"]'),
            'key hosts: "10.0.0.1" must be a host',
        ),
        (OWN.replace("fields.account", "fields.name"), "key fields.name: must be small letters"),
        (
            OWN.replace("label.de", "label.german"),
            "key fields.account.label.german: must be a lang",
        ),
        (OWN.replace("BOLIDE", "bolide"), "must be a table with an id such as MERCEDES_BENZ"),
        ('NIU = "x"', "brand NIU, key NIU: must be a table"),
        ('[NIU]\nname = "Mine"', "brand NIU, key name: is built in and cannot be changed"),
        ('[TESLA]\nsign_in.url = "https://x"', "brand TESLA, key sign_in.url: https://x must be https and of one of"),
        ("[NIU", "is not TOML"),
        (
            OWN.replace("client =", "clinet ="),
            "sign_in.clinet: is not known; the keys here are audience, body, by_choice, client, grant, longest_life, "
            "mutual_tls, scopes, url.",
        ),
        (OWN.replace('name = "Bolide"\n', ""), "brand BOLIDE, key name: must be a text that is not empty"),
        (OWN.replace('client = "basic"', 'client = "header"'), "key sign_in.client: must be one of body, basic."),
        (OWN.replace('client = "basic"', 'scopes = "read"'), "key sign_in.scopes: must be a list of texts"),
        (OWN.replace('client = "basic"', "scopes = [1]"), "key sign_in.scopes: must be a list of texts"),
        (OWN.replace('client = "basic"', "mutual_tls = 1"), "key sign_in.mutual_tls: must be true or false"),
        (OWN.replace('"abcd-1234"', "7"), "key fields.api_key.example: must be a text"),
        (OWN.replace('example = "abcd-1234"', "max_length = true"), "max_length: must be a number from 1 to 20000"),
        (OWN.replace('.label.en = "Serial"', ' = "Serial"'), "brand BOLIDE, key unit_id: must be a table"),
    ],
)
def test_a_mistake_in_an_operators_file_names_file_brand_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(tmp_path, text)
    assert sentence in str(caught.value)
    assert str(tmp_path / "own.toml") in str(caught.value)


def test_an_operators_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be read: No such file or directory"):
        brand_file.read(tmp_path / "missing.toml")


def read(folder: Path, text: str) -> dict[str, Brand]:
    """Return the catalogue with an operator's file of this text."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return brand_file.read(path, brand_file.read(brands.BUILT_IN))


def test_today_is_a_date_for_a_date_field(tmp_path: Path) -> None:
    brand = read(tmp_path, OWN.replace("[BOLIDE.s", '[BOLIDE.fields.day]\nkind = "date"\n[BOLIDE.s'))["BOLIDE"]
    good = {"account": "a", "api_key": "abcd-1234", "day": date(2030, 1, 2).isoformat()}
    assert brand.clean(good).settings == {"day": "2030-01-02"}
    assert refusals(brand, good | {"day": "2.1.2030"}) == {"day": ["This is not a date. Write it as 2026-12-31."]}
