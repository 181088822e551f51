"""Credentials in the Django admin: what identifies one is fixed after adding, and secrets never come out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from credentials import brands
from credentials.forms import form_field
from credentials.models import Credential, CredentialInUse
from credentials.oem.verdict import Outcome
from fleetcontrol.audit.models import actor_of
from fleetcontrol.pages.admin_site import VerbAdmin, VerbModelForm
from fleetcontrol.people.admin import FleetFilter, first_step
from fleetcontrol.people.models import Fleet

NAMED_VEHICLES = 10
MOST_VERIFIED_AT_ONCE = 5
FACTS = (
    "fleet", "name", "brand_name", "identifier", "readable", "secret_version", "status", "status_detail",
    "leaked_at", "checked_at", "last_worked_at", "last_used_at", "created_at", "created_by", "changed_at", "changed_by",
)  # fmt: skip


class CredentialForm(VerbModelForm):
    """A form with fields of one brand: all of them to add a credential, only the secret ones to replace its secret."""

    fleet: ClassVar[Fleet]
    brand: ClassVar[brands.Brand]
    brand_keys: ClassVar[list[str]]

    class Meta:
        model = Credential
        fields = ("name", "note", "ends_on")

    def perform(self) -> Credential:
        typed = self.cleaned_data
        values = {key: typed[key] for key in self.brand_keys}
        details = {name: typed[name] for name in ("note", "ends_on")}
        if self.instance._state.adding:
            return Credential.add(
                fleet=self.fleet, actor=self.actor, brand=self.brand.id, name=typed["name"], values=values, **details
            )
        credential = Credential.objects.get(pk=self.instance.pk)
        changed = {name: value for name, value in details.items() if name in self.changed_data}
        credential.change(actor=self.actor, expected_version=self.expected_version, **changed)
        if any(values.values()):
            # The end date belongs to the secret, so the one in the form goes with the new version.
            credential.rotate(actor=self.actor, values=values, ends_on=typed["ends_on"])
        return credential


class BrandFilter(admin.SimpleListFilter):
    title = gettext_lazy("brand")
    parameter_name = "brand"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(brand.id, brand.name) for brand in brands.catalogue().values() if brand.kind == "shared"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(brand=self.value()) if self.value() in brands.catalogue() else queryset


@admin.register(Credential)
class CredentialAdmin(VerbAdmin):
    refusals = (CredentialInUse,)
    list_display = ("name", "fleet", "brand_name", "short_identifier", "status", "checked_at", "ends_on")
    list_select_related = ("fleet",)
    actions = ("check_connection",)
    list_filter = (FleetFilter, BrandFilter, "status")
    search_fields = ("name", "identifier")
    ordering = ("fleet_id", "brand", "name")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        shared = [(brand.id, brand.name) for brand in brands.catalogue().values() if brand.kind == "shared"]
        chosen = first_step(self, request, shared)
        if isinstance(chosen, HttpResponse):
            return chosen
        fleet, brand = chosen
        words = _("Add a %(brand)s credential to %(fleet)s")
        title = words % {"brand": brands.find(brand).name, "fleet": fleet}
        return super().add_view(request, form_url, {"title": title})

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        brand = obj.oem if obj else brands.find(request.GET["brand"])
        fields = {one.key: form_field(one) for one in (brand.secret_fields if obj else brand.fields)}
        if obj:
            for field in fields.values():
                field.required = False
                field.help_text = _("To replace the secret. Left empty, it stays.")
        attributes = {"brand": brand, "brand_keys": list(fields)} | ({} if obj else {"fleet": chosen_fleet(request)})
        form = type("BrandForm", (CredentialForm,), fields | attributes)
        return super().get_form(request, obj, change, **({"form": form} | kwargs))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        brand = obj.oem if obj else brands.find(request.GET["brand"])
        keys = [one.key for one in (brand.secret_fields if obj else brand.fields)]
        own = ("note", "ends_on") if obj else ("name", "note", "ends_on")
        fieldsets = [(None, {"fields": own}), (brand.name, {"fields": keys})]
        return [*fieldsets, (_("Facts"), {"fields": FACTS})] if obj else fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FACTS if obj else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Offer a vehicle only the credentials of its fleet and brand, see vehicles/admin.py."""
        found, distinct = super().get_search_results(request, queryset, search_term.replace("\x00", ""))
        if "field_name" in request.GET:
            fleet = request.GET.get("fleet", "")
            found = found.filter(fleet=fleet if fleet.isdecimal() else None, brand=request.GET.get("brand", ""))
        return found, distinct

    def obstacles(self, chosen: Iterable[Any]) -> list[str]:
        sentences = []
        for credential in chosen:
            if count := credential.vehicles.count():
                words = ngettext(
                    "%(credential)s can’t be deleted: %(count)d vehicle uses it (%(names)s).",
                    "%(credential)s can’t be deleted: %(count)d vehicles use it (%(names)s).",
                    count,
                )
                names = list(credential.vehicles.order_by("name").values_list("name", flat=True)[:NAMED_VEHICLES])
                names += ["…"] if count > NAMED_VEHICLES else []
                sentences.append(words % {"credential": credential, "count": count, "names": ", ".join(names)})
        return sentences

    @admin.action(description=gettext_lazy("Check the connection"), permissions=["change"])
    def check_connection(self, request: HttpRequest, queryset: QuerySet[Credential]) -> None:
        """Ask the OEMs in turn. More than MOST_VERIFIED_AT_ONCE take too long for a page: use `tend` or a command."""
        if queryset.count() > MOST_VERIFIED_AT_ONCE:
            words = _("Choose %(count)d credentials at most, or use manage.py check_credentials.")
            self.message_user(request, words % {"count": MOST_VERIFIED_AT_ONCE}, messages.ERROR)
            return
        for credential in queryset:
            verdict = credential.verify(actor=actor_of(request))
            level = messages.SUCCESS if verdict.outcome is Outcome.WORKS else messages.WARNING
            self.message_user(request, f"{credential}: {verdict.reason}", level)

    @admin.display(description=gettext_lazy("brand"))
    def brand_name(self, credential: Credential) -> str:
        return credential.oem.name

    @admin.display(description=gettext_lazy("settings"))
    def readable(self, credential: Credential) -> str:
        return ", ".join(f"{label}: {value}" for label, value in credential.readable_settings) or "–"

    @admin.display(description=gettext_lazy("secret"))
    def secret_version(self, credential: Credential) -> str:
        return str(credential.secret)


def chosen_fleet(request: HttpRequest) -> Fleet:
    """The fleet that the first step chose."""
    return Fleet.objects.get(pk=request.GET["fleet"])
