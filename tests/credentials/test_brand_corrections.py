"""Facts about OEMs, what an operator's file may correct of them, and a *Check and save* that cannot check."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import Client
from django.utils import translation
from pytest_django.fixtures import Settings

from credentials import brands
from credentials.brands import Brand, find
from credentials.brands import file as brand_file
from credentials.oem.demo import DemoOem
from credentials.oem.sign_in import sign_in
from credentials.oem.verdict import Outcome
from fleetcontrol import outbound
from fleetcontrol.people.models import Fleet
from tests.support.credential_pages import at, words
from tests.support.project import PROJECT

MERCEDES_HOSTS = [
    "ssoalpha.dvb.corpinter.net", "ssoalpha.am.dvb.corpinter.net", "ssoalpha.dvb.corpinter.net.cn",
    "id.mercedes-benz.com",
]  # fmt: skip


def corrected(folder: Path, text: str) -> dict[str, Brand]:
    """The catalogue as it is with an operator's file of this text."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return brand_file.read(path, brand_file.read(brands.BUILT_IN))


# Facts of the built-in brands


@pytest.mark.parametrize("host", MERCEDES_HOSTS)
def test_mercedes_token_hosts_are_taken_and_asked_for_openid(oem: DemoOem, host: str) -> None:
    brand = find("MERCEDES_BENZ")
    typed = {"client_id": "a", "client_secret": "right", "token_url": f"https://{host}/v1/token"}
    cleaned = brand.clean(typed)
    assert sign_in(brand, cleaned.identifier, cleaned.settings, cleaned.secret).outcome is Outcome.WORKS
    assert oem.received[0].values["scope"] == "openid"
    assert oem.received[0].by_basic


@pytest.mark.parametrize(
    "host", ["corpinter.net", "corpinter.net.evil.example", "evil.corpinter.net.cn", "xcorpinter.net", "evil.example"]
)
def test_hosts_beside_them_are_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is not an address of this brand"):
        find("MERCEDES_BENZ").clean({"client_id": "a", "client_secret": "b", "token_url": f"https://{host}/v1/token"})


@pytest.mark.parametrize(("scope", "code"), [("", "works"), ("fleet", "works"), ("openid fleet", "works")])
def test_openid_alone_is_no_permission_that_can_be_missing(
    monkeypatch: pytest.MonkeyPatch, scope: str, code: str
) -> None:
    body = b'{"access_token": "t", "expires_in": 300, "scope": "%s"}' % scope.encode()
    monkeypatch.setattr(outbound, "post", lambda *args, **kwargs: outbound.Answer(200, {}, body))
    settings = {"token_url": "https://id.mercedes-benz.com/as/token.oauth2"}
    assert sign_in(find("MERCEDES_BENZ"), "a", settings, {"client_secret": "b"}).code == code


@pytest.mark.parametrize(
    ("region", "host", "audience"),
    [
        ("EU", "fleet-auth.prd.vn.cloud.tesla.com", "https://fleet-api.prd.eu.vn.cloud.tesla.com"),
        ("NA", "fleet-auth.prd.vn.cloud.tesla.com", "https://fleet-api.prd.na.vn.cloud.tesla.com"),
        ("CN", "auth.tesla.cn", "https://fleet-api.prd.cn.vn.cloud.tesla.cn"),
    ],
)
def test_teslas_region_decides_host_and_audience(oem: DemoOem, region: str, host: str, audience: str) -> None:
    brand = find("TESLA")
    cleaned = brand.clean({"client_id": "a", "client_secret": "right", "region": region.lower()})
    assert sign_in(brand, cleaned.identifier, cleaned.settings, cleaned.secret).outcome is Outcome.WORKS
    (received,) = oem.received
    assert (received.host, received.path, received.values["audience"]) == (host, "/oauth2/v3/token", audience)


# What an operator's file may correct


def test_an_operator_names_the_oems_new_hosts(tmp_path: Path) -> None:
    mercedes = corrected(tmp_path, '[MERCEDES_BENZ]\nhosts = ["*.new.example"]')["MERCEDES_BENZ"]
    for host in ("auth.new.example", *MERCEDES_HOSTS):
        values = {"client_id": "a", "client_secret": "b", "token_url": f"https://{host}/token"}
        assert mercedes.clean(values).settings == {"token_url": f"https://{host}/token"}
        assert mercedes.allows(host)
    one = corrected(tmp_path, '[MERCEDES_BENZ]\nfields.token_url.hosts = ["one.example"]')["MERCEDES_BENZ"]
    assert one.allows("one.example") and "one.example" in one.field("token_url").hosts


def test_an_operator_corrects_a_sign_in_key_by_key(tmp_path: Path) -> None:
    text = """[TESLA]
hosts = ["auth.new.example"]
sign_in = { url = "https://auth.new.example/token", longest_life = 172800 }
"""
    tesla, known = corrected(tmp_path, text)["TESLA"], find("TESLA")
    assert tesla.sign_in is not None and known.sign_in is not None
    assert tesla.sign_in.url == "https://auth.new.example/token"
    assert tesla.sign_in.longest_life == 172_800
    assert tesla.sign_in.audience == known.sign_in.audience
    assert tesla.sign_in.by_choice == known.sign_in.by_choice
    mercedes = corrected(tmp_path, '[MERCEDES_BENZ]\nsign_in.scopes = ["openid", "audience:server:client_id:x"]')
    sign_in_of_mercedes = mercedes["MERCEDES_BENZ"].sign_in
    assert sign_in_of_mercedes is not None
    assert (sign_in_of_mercedes.client, sign_in_of_mercedes.url) == ("basic", "{token_url}")
    assert sign_in_of_mercedes.scopes == ("openid", "audience:server:client_id:x")


def test_an_operator_corrects_units_portal_and_texts(tmp_path: Path) -> None:
    text = """[OKAI]
portal = "https://okai.example/"
steps = ["Ask OKAI."]
note.en = "Our note."
note.de = "Unsere Notiz."
unit_id = { pattern = "[0-9]{16}", wrong = "16 digits.", label = "Unit number", example = "4901542032375180" }
fields.password = { label = "Key", help = "On the box.", missing = "Enter the key.", example = "abc" }
"""
    okai, known = corrected(tmp_path, text)["OKAI"], find("OKAI")
    assert (okai.portal, [str(one) for one in okai.steps], str(okai.note)) == (
        "https://okai.example/", ["Ask OKAI."], "Our note.",
    )  # fmt: skip
    with translation.override("de"):
        assert str(okai.note) == "Unsere Notiz."
    assert okai.unit_id.clean("4901542032375180") == "4901542032375180"
    with pytest.raises(ValidationError, match="16 digits"):
        okai.unit_id.clean("490154203237518")
    field, before = okai.field("password"), known.field("password")
    assert [str(one) for one in (field.label, field.help, field.missing, field.example)] == [
        "Key", "On the box.", "Enter the key.", "abc",
    ]  # fmt: skip
    assert (field.kind, field.stored_as, field.required) == (before.kind, before.stored_as, before.required)


def test_the_readmes_corrections_are_taken(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(\[TESLA\].*?)```", (PROJECT / "README.md").read_text(), re.S)
    assert example is not None
    catalogue = corrected(tmp_path, example[1])
    assert catalogue["TESLA"].allows("auth.tesla.example")
    assert str(catalogue["NIU"].field("client_secret").help) == "From the partner portal, API access."


def test_what_a_file_does_not_name_stays_as_it_is(tmp_path: Path) -> None:
    before, after = brand_file.read(brands.BUILT_IN), corrected(tmp_path, "[NIU]\n[TESLA]\n[MERCEDES_BENZ]\n")
    assert repr(after) == repr(before)


MAY_BE_CHANGED = (
    "is built in and cannot be changed; of a built-in brand you may change hosts, sign_in, portal, steps and note, of "
    "its unit_id label, pattern, wrong and example, and of its fields label, help, missing, wrong and example"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[NIU]\nkind = "none"', f"brand NIU, key kind: {MAY_BE_CHANGED}"),
        ('[NIU]\nname = "Mine"', f"key name: {MAY_BE_CHANGED}"),
        ('[NIU]\nfields.client_secret.kind = "text"', f"key fields.client_secret.kind: {MAY_BE_CHANGED}"),
        ("[NIU]\nfields.client_secret.required = false", f"key fields.client_secret.required: {MAY_BE_CHANGED}"),
        ("[NIU]\nfields.client_secret.max_length = 5", f"key fields.client_secret.max_length: {MAY_BE_CHANGED}"),
        ('[NIU]\nfields.api_key.label = "x"', f"key fields.api_key: {MAY_BE_CHANGED}"),
        ('[NIU]\nfields.api_key.kind = "secret"', f"key fields.api_key.kind: {MAY_BE_CHANGED}"),
        ("[TESLA]\nunit_id.from_vin = false", f"key unit_id.from_vin: {MAY_BE_CHANGED}"),
        ('[TESLA]\nfields.region.choices.AF = "Africa"', f"key fields.region.choices: {MAY_BE_CHANGED}"),
        (
            '[NIU]\nlabel = "x"',
            "key label: is not known; the keys here are fields, hosts, note, portal, sign_in, steps, ",
        ),
        (
            '[NIU]\nunit_id.lable = "x"',
            "key unit_id.lable: is not known; the keys here are example, label, pattern, usual, wrong",
        ),
        ('[NIU]\nhosts = ["a.example"]\nsign_in.body = "json"', "key sign_in.url: must be a text that is not empty"),
        ('[TESLA]\nsign_in.url = ""', "key sign_in.url: must be a text that is not empty"),
        ('[TESLA]\nsign_in.url = "https://evil.example/"', "must be https and of one of the brand's hosts"),
        ('[TESLA]\nsign_in.audience = "https://{country}"', "{country} must be a choice"),
        ("[TESLA]\nsign_in.longest_life = 0", "key sign_in.longest_life: must be a number from 1 to 31622400"),
        ('[TESLA]\nsign_in.longest_life = "1 d"', "key sign_in.longest_life: must be a number from 1 to 31622400"),
        (
            '[TESLA]\nsign_in.by_choice.region.AF.url = "https://auth.tesla.cn/"',
            "key sign_in.by_choice.region.AF: must be a choice of one of the brand's fields",
        ),
        (
            '[TESLA]\nsign_in.by_choice.region.EU.url = "https://evil.example/"',
            "key sign_in.url: https://evil.example/ must be https and of one of the brand's hosts",
        ),
        (
            '[TESLA]\nsign_in.by_choice.region.EU.url = "https://{region}.tesla.cn/"',
            "key sign_in.by_choice.region.EU: has no placeholders",
        ),
        ('[TESLA]\nsign_in.by_choice.region.EU.uri = ""', "uri: is not known; the keys here are audience, url"),
        ('[TESLA]\nfields.client_id.hosts = ["a.example"]', "key fields.client_id.hosts: belong to an address"),
        ('[TESLA]\nunit_id.pattern = "["', "key unit_id.pattern: is not a regular expression"),
    ],
)
def test_what_may_not_be_changed_is_refused_and_the_sentence_names_what_may(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        corrected(tmp_path, text)
    assert told in str(refused.value)


def test_the_check_before_going_live_tells_what_a_file_changes(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        '[TESLA]\nhosts = ["a.example"]\nsign_in.scopes = ["x"]\nfields.client_id.label.en = "Id"\n'
        '[OWN]\nname = "Own"\nkind = "none"\n'
    )

    def told() -> list[str]:
        found = run_checks(include_deployment_checks=True)
        return [str(message.msg) for message in found if message.id == "credentials.I001"]

    settings.FLEETCONTROL_BRANDS = ""
    assert told() == []
    settings.FLEETCONTROL_BRANDS = own = str(tmp_path / "own.toml")
    assert told() == [f"{own} changes the built-in brand TESLA: hosts, sign_in.scopes, fields.client_id.label."]


TESLA_MOVED = """[TESLA]
hosts = ["fleet-auth.prd.vn.cloud.tesla.com"]
sign_in = { url = "https://fleet-auth.prd.vn.cloud.tesla.com/oauth2/v3/token", audience = "https://fleet-api.prd.{region}.vn.cloud.tesla.com" }
"""  # noqa: E501 - as an operator wrote it


@pytest.mark.parametrize("text", [TESLA_MOVED, '[MERCEDES_BENZ]\nhosts = ["*.corpinter.net"]'])
def test_what_operators_wrote_before_it_was_built_in_still_starts(tmp_path: Path, text: str) -> None:
    catalogue = corrected(tmp_path, text)
    assert catalogue["TESLA"].allows("fleet-auth.prd.vn.cloud.tesla.com")
    assert catalogue["MERCEDES_BENZ"].allows("ssoalpha.dvb.corpinter.net")


# What *Check and save* does without what the check needs


@pytest.mark.parametrize(
    ("brand", "label"), [("MERCEDES_BENZ", "Token URL"), ("TESLA", "Region"), ("SEGWAY", "Region")]
)
def test_the_form_says_beforehand_that_it_saves_without_checking(
    fleet: Fleet, as_bob: Client, oem: DemoOem, brand: str, label: str
) -> None:
    page = words(as_bob.get(at("add", fleet, brand=brand)))
    assert f"Without “{label}” FleetControl cannot check: “Check and save” then saves without checking." in page
    typed = {"name": "One", "client_id": "client1", "client_secret": "right-1"}
    answer = as_bob.post(at("add", fleet, brand=brand), typed, follow=True)
    assert "One saved. Its connection is not checked yet." in words(answer)
    assert oem.received == []


def test_a_brand_that_always_can_be_checked_says_nothing_of_it(fleet: Fleet, as_bob: Client) -> None:
    assert "without checking." not in words(as_bob.get(at("add", fleet, brand="HIGH_MOBILITY")))


@pytest.mark.parametrize("brand", ["NIU", "STELLANTIS"])
def test_a_brand_without_a_public_sign_in_says_it_at_its_button(fleet: Fleet, as_bob: Client, brand: str) -> None:
    page: Any = words(as_bob.get(at("add", fleet, brand=brand)))
    assert f"“Save” saves without checking: how to sign in to {find(brand).name} is not public." in page


def test_a_certificate_that_may_be_left_out_is_named_as_well(tmp_path: Path) -> None:
    text = """[LOCKED]
name = "Locked"
kind = "shared"
hosts = ["auth.locked.example"]
fields.client_id.kind = "identifier"
fields.certificate = { kind = "pem_certificate", required = false }
fields.private_key = { kind = "pem_key", required = false }
sign_in = { url = "https://auth.locked.example/token", mutual_tls = true }
"""
    locked = corrected(tmp_path, text)["LOCKED"]
    assert [field.key for field in locked.optional_to_save] == ["certificate", "private_key"]
