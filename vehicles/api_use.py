"""The API for reaching a vehicle: get the OEM's token, or the secret itself with the permission for it."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Router

from credentials.api_schema import LOAN_EXAMPLE, REPORT_EXAMPLE, SECRET_EXAMPLE, LoanIn, LoanOut, SecretOut
from credentials.api_use import OEM_ACCESS, RELEASES, SECRETS, lend, release
from fleetcontrol.api.operations import BODY_PROBLEMS, ApiRequest, Id, answer, operation
from fleetcontrol.api.problems import (
    CONFLICTING_RESOURCE,
    OEM_SIGN_IN_FAILED,
    RESOURCE_NOT_FOUND,
    SECRET_CANNOT_BE_OPENED,
    ProblemError,
)
from fleetcontrol.seal import SealError
from vehicles.api import vehicle_at

router = Router(tags=["Using credentials"])


@router.post(
    "/vehicles/{id}/access-token",
    operation_id="lend_vehicle_token",
    **operation(
        OEM_ACCESS,
        "Get the manufacturer’s access token for a vehicle",
        {200: LoanOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, OEM_SIGN_IN_FAILED],
        sends=REPORT_EXAMPLE,
        returns=LOAN_EXAMPLE,
    ),
)
def lend_vehicle_token(request: ApiRequest, id: Id, body: LoanIn | None = None) -> HttpResponse:
    """The answer is the token of the credential that the vehicle uses."""
    vehicle = vehicle_at(request, id)
    if vehicle.credential is None:
        words = _("%(vehicle)s is not reached through a credential, so there is nothing to sign in with.")
        raise ProblemError(CONFLICTING_RESOURCE, words % {"vehicle": vehicle.name})
    return lend(request, vehicle.credential, body, {"vehicle": [None, vehicle.name]})


@router.get(
    "/vehicles/{id}/secret",
    operation_id="release_vehicle_secret",
    **operation(
        SECRETS,
        "Release the secret that a vehicle is reached with",
        {200: SecretOut},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, SECRET_CANNOT_BE_OPENED],
        returns=SECRET_EXAMPLE,
    ),
)
def release_vehicle_secret(request: ApiRequest, id: Id) -> HttpResponse:
    """The password of the vehicle’s unit, or the secret of its credential. The audit history records each release."""
    vehicle = vehicle_at(request, id)
    if vehicle.credential is not None:
        return release(request, vehicle.credential, {"vehicle": [None, vehicle.name]})
    request.caller.use_up("secret", RELEASES)
    try:
        password = vehicle.release(actor=request.actor)
    except SealError as error:
        raise ProblemError(SECRET_CANNOT_BE_OPENED, str(error)) from None
    if not password:
        words = _("%(vehicle)s needs no secret to be reached.")
        raise ProblemError(CONFLICTING_RESOURCE, words % {"vehicle": vehicle.name})
    body = {"id": vehicle.pk, "client_id": vehicle.telematics_unit_id, "settings": {}, "secret": {"password": password}}
    return answer(body, private=True)
