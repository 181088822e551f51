"""The pages of credentials."""

from django.http import HttpResponse
from django.shortcuts import render

from fleetcontrol.access import FleetRequest, fleet_view
from fleetcontrol.models import Role


@fleet_view(Role.VIEWER)
def index(request: FleetRequest) -> HttpResponse:
    return render(request, "credentials/index.html", {"credentials": request.fleet.credentials.all()[:50]})
