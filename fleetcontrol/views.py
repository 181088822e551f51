"""Pages that belong to no noun of their own: the way in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from fleetcontrol.models import Membership, User


def home(request: HttpRequest) -> HttpResponse:
    """To the person's first fleet, or a page that says whom to ask for one."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    membership = Membership.objects.filter(user=request.user).select_related("fleet").order_by("fleet__name").first()
    if membership is None:
        return render(request, "no_fleet.html")
    return redirect("credentials:index", fleet=membership.fleet.slug)
