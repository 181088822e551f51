"""The Django admin, for power users: FleetControl's own tables, changed through the same verbs as everywhere else.

The site leaves out the tables of other installed apps: some hold secrets (TOTP keys, provider tokens), and no change to
them would write an audit event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from fleetcontrol.audit.models import Actor, actor_of
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.editing import EditForm
from fleetcontrol.pages.paging import CAP, capped_count

OUR_APPS = ("people", "api", "audit", "imports", "credentials", "vehicles")
MOST_AT_ONCE = 1000


class Site(admin.AdminSite):
    site_header = gettext_lazy("FleetControl administration")
    site_title = gettext_lazy("FleetControl administration")
    index_title = gettext_lazy("For power users")

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send everybody to the app's sign-in page, which also asks for the second factor."""
        response: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return response

    def register(self, model_or_iterable: Any, *args: Any, **options: Any) -> None:
        models: list[Any] = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        if ours := [model for model in models if model._meta.app_label in OUR_APPS]:
            super().register(ours, *args, **options)


class RowSelect(AutocompleteSelect):
    """A choice of one row, which shows none where the address or a form names what cannot be one."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [one for one in value if self._may_be_key(one)], attr)

    def _may_be_key(self, text: str) -> bool:
        try:
            self.field.remote_field.model._meta.pk.to_python(text)
        except ValidationError:
            return False
        return "\x00" not in str(text)


class CappedPaginator(Paginator[Any]):
    """Stop counting at 10,000 rows. Use search to find anything beyond that."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return min(capped_count(rows), CAP) if isinstance(rows, models.QuerySet) else len(rows)


class VerbModelForm(EditForm, forms.ModelForm[Any]):
    """A form of the admin that runs a verb as the last step of its validation, inside the admin's transaction.

    The verb holds the rules, so they are written once. Its errors, including those that only the database can find,
    appear at their fields.
    """

    actor: ClassVar[Actor]
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.edit(self.instance)

    def initial_of(self, row: Any) -> dict[str, Any]:
        return forms.models.model_to_dict(row, list(self.fields))

    def perform(self) -> models.Model:
        """Run the verb and return its row. Raises ValidationError by field."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        if self.errors:
            return
        try:
            self.instance = self.perform()
        except ValidationError as error:
            by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
            for field, errors in by_field.items():
                self.add_error(field if field in self.fields else None, errors)
        except ChangedMeanwhile as conflict:
            self.changed_meanwhile(conflict)
        except self.refusals as refusal:
            self.add_error(None, str(refusal))

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        return self.instance

    def save_m2m(self) -> None:
        """Do nothing: the verb has saved everything."""


class ListedLookups(admin.ModelAdmin[Any]):
    """Shows people no more than their permissions say, in whatever way they ask."""

    sortable_by: ClassVar[tuple[str, ...]] = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only the lookups of the list's filters: any other would let people guess at columns that no page shows."""
        allowed = set()
        for one in self.get_list_filter(request):
            if isinstance(one, type) and issubclass(one, admin.SimpleListFilter):
                allowed.add(one.parameter_name)
            else:
                allowed |= {f"{one}__exact", f"{one}__isnull"}
        return lookup in allowed

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Nothing from the address: a form would show the name of whatever row it names."""
        return {}

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the rows that the person may see in the admin."""
        related = db_field.remote_field.model
        site = self.admin_site._registry.get(related)
        may_see = site is not None and site.has_view_permission(request)
        kwargs["queryset"] = site.get_queryset(request) if site and may_see else related._default_manager.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class VerbAdmin(ListedLookups):
    """Lists that stay fast with a million rows, and changes that go through verbs."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    show_facets = admin.ShowFacets.NEVER
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValidationError,)
    blocked: ClassVar[Callable[..., Any] | None] = None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": actor_of(request)})

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", RowSelect(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Do nothing: the form's verb has saved it."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        obj.remove(actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        for obj in queryset:
            obj.remove(actor=actor_of(request))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What the page of a deletion shows. Rows that depend on these are left out: there may be a million."""
        chosen = list(objs[: MOST_AT_ONCE + 1])
        obstacles = self.obstacles(chosen)
        if len(chosen) > MOST_AT_ONCE:
            obstacles = [_("Choose at most %(number)d at a time.") % {"number": MOST_AT_ONCE}]
        return [str(obj) for obj in chosen[:100]], {str(self.opts.verbose_name_plural): len(chosen)}, set(), obstacles

    def obstacles(self, chosen: Iterable[Any]) -> list[str]:
        """Sentences that say why these rows cannot be deleted. Empty if they can."""
        return []

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return with_conflict_status(super().changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return self._or_refused(request, lambda: super(VerbAdmin, self).delete_view(request, object_id, extra_context))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return self._or_refused(request, lambda: super(VerbAdmin, self).changelist_view(request, extra_context))

    def _or_refused(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except self.refusals as refusal:
            sentences = refusal.messages if isinstance(refusal, ValidationError) else [str(refusal)]
            for sentence in sentences:
                self.message_user(request, sentence, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


def with_conflict_status(response: Any) -> Any:
    """The page of a form, with status 409 if somebody else saved the row meanwhile."""
    context = getattr(response, "context_data", None) or {}
    if "adminform" in context and getattr(context["adminform"].form, "conflicted", False):
        response.status_code = 409
    return response
