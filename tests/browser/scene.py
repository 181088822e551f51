"""A fleet that gives every page something to show: each status, each kind of brand, long words, a second fleet."""

from __future__ import annotations

from datetime import timedelta

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from credentials.models import Credential, Status
from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Fleet, Invitation, Role, User
from tests.browser.pages import patterns
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.import_files import columns_form

# No verb sets a status directly, so the scene writes it into the row.
STATUSES = [Status.WORKING, Status.REJECTED, Status.UNREACHABLE, Status.UNCHECKED]


class Scene:
    """The objects of one fleet. `addresses` gives every page that a signed-in administrator can open."""

    def __init__(self, language: str = "") -> None:
        self.alice: User = factory.a_user("Alexandra Mustermann-Schwarzenberg", email="alice@example.com")
        self.fleet: Fleet = factory.a_fleet("Nordlicht Logistik", administrator=self.alice)
        factory.a_fleet("Südstern Spedition", slug="suedstern", administrator=self.alice)
        self.bob: User = factory.a_member(self.fleet, Role.MANAGER, "Bob")
        factory.a_member(self.fleet, Role.VIEWER, "Vera")
        User.objects.filter(pk=self.alice.pk).update(language=language)
        self.alice.refresh_from_db()
        self.used = factory.a_credential(self.fleet, "Mercedes-Benz Deutschland")
        self.vehicle = factory.a_vehicle(self.fleet, self.used, name="Transporter 014", vin="WDB9066351S123456")
        factory.a_vehicle(self.fleet, self.used, license_plate="HH-NL 1412")
        factory.a_vehicle(self.fleet)
        for status in STATUSES:
            credential = factory.a_credential(self.fleet, f"Zugangsdaten für {status.label}")
            Credential.objects.filter(pk=credential.pk).update(
                status=status, checked_at=timezone.now() - timedelta(minutes=4)
            )
        self.unused = factory.a_credential(
            self.fleet, "Mercedes test", ends_on=timezone.localdate() + timedelta(days=9)
        )
        (self.invitation,) = Invitation.add(
            fleet=self.fleet, emails=["nina@example.com"], role=Role.MANAGER, actor=factory.TEST
        )
        self.api_client, _secret = ApiClient.add(
            fleet=self.fleet, actor=factory.TEST, name="ERP", permissions=["vehicles.ro"]
        )
        self.api_client.replace_secret(actor=factory.TEST, overlap="24h")
        self.client = signed_in(self.alice)
        self.checked_import = self.import_file("Name;VIN\nVan 1;\nVan 2;WDB9066351S12345\nVan 2;\n")
        self.done_import = self.import_file("Name\nVan 3\n")
        self.client.post(self.done_import.replace("check/", "import/"), follow=True)

    def import_file(self, text: str) -> str:
        """Upload a list of CloudBoxx vehicles, have it checked, and return the URL of the check."""
        file = SimpleUploadedFile("fuhrpark-november.csv", text.encode())
        answer = self.client.post(f"/f/{self.fleet.slug}/imports/add/", {"kind": "vehicle", "file": file}, follow=True)
        page = answer.redirect_chain[-1][0]
        chosen = columns_form(self.client, page, same_telematics_brand="CLOUDBOXX")
        return str(self.client.post(page, chosen, follow=True).redirect_chain[-1][0])

    def value(self, name: str, parameter: str) -> str:
        """Return the value of `parameter` in the URL of the page `name`."""
        namespace = name.partition(":")[0]
        if parameter != "fleet" and parameter in ("id", namespace.rstrip("s")):
            an_import = self.done_import if name == "imports:report" else self.checked_import
            return {
                "credentials": self.used.pk,
                "vehicles": self.vehicle.pk,
                "imports": an_import.split("/")[4],
                "clients": str(self.api_client.client_id),
            }[namespace]
        if parameter == "pk":
            return self.invitation.pk if "invitation" in name else str(self.fleet.memberships.get(user=self.bob).pk)
        known = {
            "fleet": self.fleet.slug,
            "brand": "mercedes-benz",
            "kind": "csv" if name.startswith("history") else "vehicle",
            "name": "validation-error",
            "token": self.invitation.link.rstrip("/").rpartition("/")[2],
        }
        mailed = {"key": "none", "uidb36": "1", "provider_id": "none"}  # parts of emailed links
        return (known | mailed)[parameter]

    def addresses(self) -> dict[str, str]:
        """Map the name of each page that answers with HTML to its URL."""
        found = {}
        for pattern in patterns():
            try:
                address = reverse(
                    pattern.name, kwargs={key: self.value(pattern.name, key) for key in pattern.parameters}
                )
            except (KeyError, NoReverseMatch) as missing:
                raise AssertionError(f"say in Scene.value what stands for {missing} in {pattern}") from None
            answer = self.client.get(address)
            if answer.status_code == 200 and is_page(answer):
                found[pattern.name] = address
        return found


def is_page(answer: HttpResponseBase) -> bool:
    return answer.headers.get("Content-Type", "").startswith("text/html")
