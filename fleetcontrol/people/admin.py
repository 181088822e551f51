"""Fleets, people and members in the Django admin, and what the admin of other apps shares about fleets."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit.models import AuditEvent, actor_of
from fleetcontrol.audit.versions import ChangedMeanwhile, require_version
from fleetcontrol.pages.admin_site import (
    MOST_AT_ONCE,
    CappedPaginator,
    ListedLookups,
    RowSelect,
    VerbAdmin,
    VerbModelForm,
    with_conflict_status,
)
from fleetcontrol.pages.editing import EditForm
from fleetcontrol.people.models import Fleet, LastAdministrator, Membership, Role, User

FLEETS_IN_FILTER = 100


class FleetFilter(admin.SimpleListFilter):
    """Filter by one of the first hundred fleets. Beyond that, the page of a fleet links to its rows."""

    title = _("fleet")
    parameter_name = "fleet"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        fleets = visible_fleets(request).order_by("name").values_list("pk", "name")
        return [(str(pk), name) for pk, name in fleets[:FLEETS_IN_FILTER]]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(fleet=self.value()) if (self.value() or "").isdecimal() else queryset


def visible_fleets(request: HttpRequest) -> models.QuerySet[Fleet]:
    """All fleets for people who may see fleets in the admin, else none."""
    return Fleet.objects.all() if admin.site._registry[Fleet].has_view_permission(request) else Fleet.objects.none()


class FirstStepForm(forms.Form):
    """The choices that determine which fields a new credential or vehicle has."""

    fleet = forms.ModelChoiceField(Fleet.objects.order_by("name"), label=_("Fleet"))
    brand = forms.ChoiceField(label=_("Brand"), widget=forms.RadioSelect)


def first_step(
    site: admin.ModelAdmin[Any], request: HttpRequest, choices: list[tuple[str, str]]
) -> tuple[Fleet, str] | TemplateResponse:
    """The fleet and brand from the query parameters, or the page that asks for them.

    Raises PermissionDenied for people who may not add one.
    """
    if not site.has_add_permission(request):
        raise PermissionDenied
    asked = "fleet" in request.GET or "brand" in request.GET
    chosen = {"fleet": request.GET.get("fleet", ""), "brand": request.GET.get("brand", "")}
    if not chosen["fleet"].isdecimal():
        chosen["fleet"] = ""  # the search that shows the choice takes numbers only
    form = FirstStepForm(chosen if asked else None)
    brand, fleet = form.fields["brand"], form.fields["fleet"]
    assert isinstance(brand, forms.ChoiceField)  # noqa: S101 - declared above
    assert isinstance(fleet, forms.ModelChoiceField)  # noqa: S101 - declared above
    brand.choices = choices
    fleet.queryset = visible_fleets(request)
    fleet.widget = RowSelect(site.opts.get_field("fleet"), site.admin_site)
    fleet.widget.choices = fleet.choices
    if asked and form.is_valid():
        return form.cleaned_data["fleet"], form.cleaned_data["brand"]
    context = site.admin_site.each_context(request) | {
        "form": form,
        "opts": site.opts,
        "media": site.media + form.media,
        "title": gettext("Choose fleet and brand"),
    }
    return TemplateResponse(request, "admin/first_step.html", context)


class FleetForm(VerbModelForm):
    class Meta:
        model = Fleet
        fields = ("name", "slug", "require_second_factor")

    def perform(self) -> Fleet:
        values = self.cleaned_data
        if self.instance.pk is None:
            fleet = Fleet.add(actor=self.actor, name=values["name"], slug=values["slug"])
            if values["require_second_factor"]:
                fleet.change(actor=self.actor, require_second_factor=True)
            return fleet
        fleet = Fleet.objects.get(pk=self.instance.pk)
        changed = {name: value for name, value in values.items() if name in self.changed_data}
        fleet.change(actor=self.actor, expected_version=self.expected_version, **changed)
        return fleet


@admin.register(Fleet)
class FleetAdmin(VerbAdmin):
    form = FleetForm
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    ordering = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The short name is part of every link to the fleet, so it cannot change."""
        return ("slug", "belonging") if obj else ("belonging",)

    @admin.display(description=_("in this fleet"))
    def belonging(self, fleet: Fleet) -> str:
        """Links to the fleet's rows in every list that can be filtered by fleet."""
        if fleet._state.adding:
            return "–"
        options = [
            model._meta
            for model, site in self.admin_site._registry.items()
            if any(isinstance(one, type) and issubclass(one, FleetFilter) for one in site.list_filter)
        ]
        links = [
            (reverse(f"admin:{one.app_label}_{one.model_name}_changelist"), fleet.pk, capfirst(one.verbose_name_plural))
            for one in options
        ]
        return format_html_join(" · ", '<a href="{}?fleet={}">{}</a>', links)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never. A fleet is deleted in its settings, where its name must be typed."""
        return False


class MembershipForm(VerbModelForm):
    refusals = (LastAdministrator,)
    granter: ClassVar[User]

    class Meta:
        model = Membership
        fields = ("fleet", "user", "role")

    def perform(self) -> Membership:
        values = self.cleaned_data
        fleet = values["fleet"] if self.instance.pk is None else self.instance.fleet
        if not self.granter.may_grant(Role(values["role"]), fleet):
            raise ValidationError({"role": gettext("You can give roles up to your own in this fleet.")})
        if self.instance.pk is None:
            return Membership.add(
                fleet=values["fleet"], user=values["user"], role=Role(values["role"]), actor=self.actor
            )
        membership = Membership.objects.select_related("user", "fleet").get(pk=self.instance.pk)
        membership.change(role=Role(values["role"]), actor=self.actor, expected_version=self.expected_version)
        return membership


@admin.register(Membership)
class MembershipAdmin(VerbAdmin):
    form = MembershipForm
    refusals = (LastAdministrator,)
    list_display = ("user", "fleet", "role")
    list_select_related = ("user", "fleet")
    list_filter = (FleetFilter, "role")
    search_fields = ("user__email", "user__name")
    autocomplete_fields = ("fleet", "user")
    ordering = ("fleet_id", "id")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("fleet", "user") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"granter": request.user})

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the signed-in person may change the membership: only of somebody whose role they may give."""
        return super().has_change_permission(request, obj) and self._may_grant(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_grant(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse what is ticked in the list as well."""
        names, counts, needed, obstacles = super().get_deleted_objects(objs, request)
        if not all(self._may_grant(request, one) for one in objs[: MOST_AT_ONCE + 1]):
            needed = {str(self.opts.verbose_name_plural)}
        return names, counts, needed, obstacles

    def _may_grant(self, request: HttpRequest, obj: Membership | None) -> bool:
        person = request.user
        return obj is None or (isinstance(person, User) and person.may_grant(Role(obj.role), obj.fleet))


class PersonAddForm(AdminUserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email", "name")


class PersonChangeForm(EditForm, UserChangeForm[User]):
    class Meta:
        model = User
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edit(self.instance)

    def initial_of(self, row: User) -> dict[str, Any]:
        return forms.models.model_to_dict(row, list(self.fields))

    def clean(self) -> dict[str, Any] | None:
        """Compare the versions with the person locked, in the admin's transaction."""
        cleaned = super().clean()
        person = User.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        try:
            require_version(person, self.expected_version)
            if not self.cleaned_data.get("is_active", True):
                person.require_dispensable()
        except ChangedMeanwhile as conflict:
            self.changed_meanwhile(conflict)
        except LastAdministrator as refusal:
            self.add_error("is_active", str(refusal))
        return cleaned


@admin.register(User)
class PersonAdmin(ListedLookups, UserAdmin[User]):
    """People and their rights in the admin. A membership says what they may do in a fleet.

    Who is not a superuser sees no superuser, and changes nobody who may do anything that they may not.
    """

    form, add_form = PersonChangeForm, PersonAddForm
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_display = ("email", "name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "password", "name", "language", "theme", "shortcuts")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[User]:
        people = super().get_queryset(request)
        return people if request.user.is_superuser else people.filter(is_superuser=False)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only superusers give rights, and they cannot take their own: so there is always one."""
        if not request.user.is_superuser:
            return (*self.readonly_fields, "is_staff", "is_superuser", "user_permissions")
        own = ("is_active", "is_staff", "is_superuser") if obj == request.user else ()
        return (*self.readonly_fields, *own)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the signed-in person may change the account, its password and email included."""
        may = super().has_change_permission(request, obj)
        return may and (obj is None or (isinstance(request.user, User) and request.user.covers(obj)))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return with_conflict_status(super().changeform_view(request, *args, **kwargs))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: Any) -> None:
        before = User.objects.filter(pk=obj.pk).values(*AUDITED).first() or dict.fromkeys(AUDITED)
        super().save_model(request, obj, form, change)
        EmailAddress.objects.filter(user=obj).exclude(email=obj.email).delete()  # allauth would still let them sign in
        changes = {field: [before[field], now] for field in AUDITED if before[field] != (now := getattr(obj, field))}
        # Labels are the only place for names: there a pseudonym can replace them when the person is removed.
        changes |= {field: ["replaced", "replaced"] for field in ("email", "name") if field in changes}
        AuditEvent.record(None, actor_of(request), "user.change" if change else "user.add", obj, changes)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and isinstance(response, HttpResponseRedirect):
            changes = {"password": ["replaced", "replaced"]}
            AuditEvent.record(None, actor_of(request), "user.change", User.objects.get(pk=id), changes)
        return response

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never. Set a person who leaves inactive, so that the audit trail still refers to somebody."""
        return False


AUDITED = ("email", "name", "is_active", "is_staff", "is_superuser")
