"""Exports of password managers are imported as they are, with one choice of brand; what is no login is refused."""

from functools import partial
from pathlib import Path

import pytest

from fleetcontrol.people.models import Fleet
from tests.support.import_files import import_by_command

pytestmark = pytest.mark.django_db
run = partial(import_by_command, "import_credentials")
EXPORTS = {
    "Bitwarden": "folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp\n"
    'OEM,,login,Fleet north,"Contract 4711\nValid until 2027",,0,https://niu.example,niu-9,"=S3c""r\\et+9",\n',
    "1Password": "Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\n"
    'Fleet north,https://niu.example,niu-9,"=S3c""r\\et+9",,false,false,OEM,Contract 4711\n',
    "KeePassXC": '"Group","Title","Username","Password","URL","Notes","TOTP","Icon","Last Modified","Created"\n'
    '"Root/OEM","Fleet north","niu-9","=S3c""r\\et+9","https://x","Contract 4711","","0","2026-01-01T00:00:00Z",""\n',
    "KeePass 1": '"Account","Login Name","Password","Web Site","Comments"\n'
    '"Fleet north","niu-9","=S3c\\"r\\\\et+9","https://x","Contract 4711"\n',
    "Firefox": '"url","username","password","httpRealm","formActionOrigin","guid","timeCreated"\n'
    '"https://niu.example","niu-9","=S3c""r\\et+9",,"https://niu.example","{1}","1700000000000"\n',
    "LastPass": "url,username,password,totp,extra,name,grouping,fav\n"
    'https://niu.example,niu-9,"=S3c""r\\et+9",,Contract 4711,Fleet north,OEM,0\n',
}


@pytest.mark.parametrize("manager", EXPORTS)
def test_an_export_goes_in_with_one_choice_of_brand(fleet: Fleet, tmp_path: Path, manager: str) -> None:
    more = ["--map=name=url"] if manager == "Firefox" else []  # it has no names
    code, _, problems = run(fleet, EXPORTS[manager], "--set=brand=NIU", *more, tmp_path=tmp_path)
    assert code == 0, problems
    credential = fleet.credentials.get()
    assert credential.identifier == "niu-9"
    assert credential.secret.open() == {"client_secret": '=S3c"r\\et+9'}
    if not more:
        assert credential.name == "Fleet north"
        assert credential.note.startswith("Contract 4711")


def test_a_brand_that_has_a_password_of_its_own_keeps_it(fleet: Fleet, tmp_path: Path) -> None:
    problems = run(fleet, EXPORTS["LastPass"], "--set=brand=STELLANTIS", tmp_path=tmp_path)[2]
    assert [one["column"] for one in problems] == ["client_id", "certificate", "private_key"]


def test_a_file_that_names_the_brands_own_fields_is_not_guessed_at(fleet: Fleet, tmp_path: Path) -> None:
    text = "name,brand,client_id,client_secret,username\nA,NIU,a,b,c\n"
    code, _, problems = run(fleet, text, tmp_path=tmp_path)
    assert (code, problems[0]["column"]) == (1, "username")


def test_what_is_no_login_is_refused_and_nothing_of_it_is_told(fleet: Fleet, tmp_path: Path) -> None:
    text = EXPORTS["Bitwarden"] + ",,note,Wifi,secret note,,0,,,,\n"
    code, _, problems = run(fleet, text, "--set=brand=NIU", "--on-error=skip", tmp_path=tmp_path)
    assert code == 1
    assert {one["reason"] for one in problems} == {"Enter the client ID.", "Enter the client secret."}
    assert "secret note" not in str(problems)
    assert fleet.credentials.count() == 1
