"""Pages that belong to no noun of their own: the way in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template import loader
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from fleetcontrol import seal
from fleetcontrol import styleguide as examples
from fleetcontrol.access import actor_of
from fleetcontrol.models import AuditEvent, Membership, User
from fleetcontrol.people_forms import NameForm


def home(request: HttpRequest) -> HttpResponse:
    """To the person's first fleet, or a page that says whom to ask for one."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    membership = Membership.objects.filter(user=request.user).select_related("fleet").order_by("fleet__name").first()
    if membership is None:
        return render(request, "people/no_fleet.html")
    return redirect("credentials:index", fleet=membership.fleet.slug)


@login_not_required
def health(request: HttpRequest) -> JsonResponse:
    """200 while work can be done: the database answers, FERNET_KEYS opens what is stored; else 503 and what fails."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        problems = [] if seal.keys_fit() else ["FERNET_KEYS does not open the secrets in the database."]
    except DatabaseError:
        problems = ["The database does not answer."]
    status = "fail" if problems else "pass"
    answer = JsonResponse({"status": status, "problems": problems}, status=503 if problems else 200)
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Theme, language and shortcuts of the person, from the account menu; back to the page it was opened on."""
    person = request.user
    assert isinstance(person, User)  # noqa: S101 - LoginRequiredMiddleware
    chosen = request.POST
    if chosen.get("theme") in ("system", "light", "dark"):
        person.theme = "" if chosen["theme"] == "system" else chosen["theme"]
    if chosen.get("language") in ("en", "de"):
        person.language = chosen["language"]
    if chosen.get("shortcuts") in ("on", "off"):
        person.shortcuts = chosen["shortcuts"] == "on"
    person.save(update_fields=["theme", "language", "shortcuts"])
    back = chosen.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "fleetcontrol:home")


def profile(request: HttpRequest) -> HttpResponse:
    """The person's name."""
    person = request.user
    assert isinstance(person, User)  # noqa: S101 - LoginRequiredMiddleware
    form = NameForm(request.POST or None, instance=person)
    if request.method == "POST" and form.is_valid():
        form.save()
        AuditEvent.record(None, actor_of(request), "user.change", person, {"name": ["", "replaced"]})
        messages.success(request, _("Your name is saved."))
        return redirect("people:profile")
    return render(request, "people/profile.html", {"form": form}, status=422 if form.is_bound else 200)


@login_not_required
def shut(request: HttpRequest, key: str = "") -> HttpResponse:
    """A page of allauth that FleetControl does not have."""
    raise Http404


@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in every state; exists in debug only."""
    return render(request, "styleguide.html", examples.context())


def failed(request: HttpRequest) -> HttpResponse:
    """The page of an error on our side (handler500). Without the person and the database, which may be what failed."""
    flow_id = getattr(request, "flow_id", "")
    page = loader.render_to_string("500.html", {"flow_id": flow_id})
    return HttpResponse(page, status=500, headers={"Cache-Control": "no-store"})
