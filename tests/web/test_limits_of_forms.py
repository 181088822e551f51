"""Forms and addresses that hold more than any of ours are refused, not worked on."""

import pytest
from django.test import Client

from fleetcontrol.people.models import Fleet, Role
from tests.support import factory
from tests.support.browsers import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(fleet: Fleet) -> Client:
    client = signed_in(factory.a_member(fleet, Role.MANAGER))
    client.raise_request_exception = False
    return client


def many(count: int) -> str:
    return "&".join(f"field{number}=1" for number in range(count))


@pytest.mark.parametrize("page", ["credentials/add/niu/", "vehicles/add/cloudboxx/", "imports/", "vehicles/"])
def test_a_form_or_query_of_many_fields_is_refused(bob: Client, fleet: Fleet, page: str) -> None:
    address = f"/f/{fleet.slug}/{page}"
    kind = "application/x-www-form-urlencoded"
    assert bob.post(address, many(150_000), content_type=kind).status_code in (400, 405)
    assert bob.get(f"{address}?{many(5_000)}").status_code in (200, 400)  # 200 where nobody reads the query


def test_a_form_of_many_files_or_parts_is_refused(bob: Client, fleet: Fleet) -> None:
    for part in ('name="file"; filename="a"', 'name="field"'):
        body = f"--x\r\nContent-Disposition: form-data; {part}\r\n\r\n1\r\n" * 20_000 + "--x--\r\n"
        answer = bob.post(f"/f/{fleet.slug}/imports/add/", body, content_type="multipart/form-data; boundary=x")
        assert answer.status_code == 400


@pytest.mark.parametrize("name", ["client_secret", "name", "note", "ends_on"])
def test_a_field_of_two_megabytes_is_refused_in_its_own_words(bob: Client, fleet: Fleet, name: str) -> None:
    values = {"name": "A", "client_id": "c", "client_secret": "s", name: "a-1" * 600_000}
    answer = bob.post(f"/f/{fleet.slug}/credentials/add/niu/", values)
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize("parameter", ["after", "q", "page", "brand", "show", "before"])
def test_odd_parameters_of_lists_are_no_failure(bob: Client, fleet: Fleet, parameter: str) -> None:
    for value in (
        "W1tb" * 2_000,
        "[" * 100_000,
        "%" * 50_000,
        "_" * 50_000,
        "WzEsIltb" * 5_000,
        "W" * 60_000,
        "abc" * 60_000,
    ):
        for page in ("vehicles/", "credentials/", "imports/"):
            assert bob.get(f"/f/{fleet.slug}/{page}", {parameter: value}).status_code in (200, 302, 400, 404)
