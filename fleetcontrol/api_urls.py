"""The addresses of the API: the operations of every app. `fleetcontrol.api.middleware` resolves its requests here."""

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, URLResolver
from django.urls import path as url

import credentials.api
import credentials.api_use
import vehicles.api
import vehicles.api_use
from fleetcontrol.api import oauth
from fleetcontrol.api.errors import Api
from fleetcontrol.api.openapi import TOKEN_PATH
from fleetcontrol.api.operations import takes_file

ROUTERS = [
    # They come first, because "/vehicles/{id}" would match "/vehicles/imports".
    ("/vehicles/imports", vehicles.api.imports),
    ("/credentials/imports", credentials.api.imports),
    ("", credentials.api.router),
    ("", vehicles.api.router),
    ("", credentials.api_use.router),
    ("", vehicles.api_use.router),
]

api = Api()
for prefix, router in ROUTERS:
    api.add_router(prefix, router)


def token(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return oauth.token_endpoint(request)


urlpatterns: list[URLPattern | URLResolver] = [
    url(TOKEN_PATH.lstrip("/"), token, name="token"),
    url("", api.urls),
]
# The middleware sends requests to the API by the first part of their path, and all others to the pages.
PATHS = [TOKEN_PATH, *(prefix + path for prefix, router in ROUTERS for path in router.path_operations)]
FIRST_PARTS = {path.lstrip("/").split("/")[0] for path in PATHS}
# Paths where the body of a POST is a file.
TAKE_FILES = {
    prefix + path
    for prefix, router in ROUTERS
    for path, view in router.path_operations.items()
    if any(takes_file(operation) for operation in view.operations)
}
