"""The pages of vehicles."""

from django.http import HttpResponse
from django.shortcuts import render

from fleetcontrol.access import FleetRequest, fleet_view
from fleetcontrol.models import Role


@fleet_view(Role.VIEWER)
def index(request: FleetRequest) -> HttpResponse:
    return render(request, "vehicles/index.html", {"vehicles": request.fleet.vehicles.all()[:50]})
