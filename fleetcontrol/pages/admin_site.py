"""The Django admin, for power users: FleetControl's own tables, changed through the same verbs as everywhere else.

What other installed apps would show there is left out, because some of it is secret (TOTP keys, provider tokens) and
none of it would write an audit event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from allauth.account.decorators import secure_admin_login
from django import forms
from django.contrib import admin, messages
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
from fleetcontrol.pages.paging import CAP, capped_count

OURS = ("people", "api", "audit", "imports", "credentials", "vehicles")
BULK_AT_MOST = 1000


class Site(admin.AdminSite):
    site_header = gettext_lazy("FleetControl administration")
    site_title = gettext_lazy("FleetControl administration")
    index_title = gettext_lazy("For power users")

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send everybody to the one page of sign-in, which asks for the second factor too."""
        answer: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return answer

    def register(self, model_or_iterable: Any, *args: Any, **options: Any) -> None:
        found: list[Any] = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        if ours := [model for model in found if model._meta.app_label in OURS]:
            super().register(ours, *args, **options)


class CappedPaginator(Paginator[Any]):
    """Counts up to 10,000 rows and no further; who looks for more searches."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return min(capped_count(rows), CAP) if isinstance(rows, models.QuerySet) else len(rows)


class VerbModelForm(forms.ModelForm[Any]):
    """Checked by the verb itself, which runs as the last step of validation; the admin's transaction holds it.

    That way a rule stands in one place, and what only the database sees becomes an error at its field too.
    """

    actor: ClassVar[Actor]
    refusals: ClassVar[tuple[type[Exception], ...]] = ()

    def perform(self) -> models.Model:
        """Do what the form asks for; returns the row. Raises ValidationError by field."""
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
        except self.refusals as refusal:
            self.add_error(None, str(refusal))

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        return self.instance

    def save_m2m(self) -> None:
        """Nothing: the verb has saved everything."""


class VerbAdmin(admin.ModelAdmin[Any]):
    """Lists that stay quick with a million rows, and changes that go through verbs."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    sortable_by: ClassVar[tuple[str, ...]] = ()
    show_facets = admin.ShowFacets.NEVER
    refusals: ClassVar[tuple[type[Exception], ...]] = (ValidationError,)
    blocked: ClassVar[Callable[..., Any] | None] = None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": actor_of(request)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Nothing: the form's verb has saved it."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        obj.remove(actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        for obj in queryset:
            obj.remove(actor=actor_of(request))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """What the page of a deletion shows; never the rows that depend on it, which may be a million."""
        found = list(objs[: BULK_AT_MOST + 1])
        obstacles = self.obstacles(found)
        if len(found) > BULK_AT_MOST:
            obstacles = [_("Choose at most %(number)d at a time.") % {"number": BULK_AT_MOST}]
        return [str(obj) for obj in found[:100]], {str(self.opts.verbose_name_plural): len(found)}, set(), obstacles

    def obstacles(self, found: Iterable[Any]) -> list[str]:
        """Sentences on why these cannot be deleted; none, when they can."""
        return []

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        return self._or_refused(request, lambda: super(VerbAdmin, self).delete_view(request, object_id, extra_context))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return self._or_refused(request, lambda: super(VerbAdmin, self).changelist_view(request, extra_context))

    def _or_refused(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except self.refusals as refusal:
            said = refusal.messages if isinstance(refusal, ValidationError) else [str(refusal)]
            for sentence in said:
                self.message_user(request, sentence, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
