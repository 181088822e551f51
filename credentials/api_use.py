"""The API for using a credential: get the OEM's token, or the secret itself with the permission for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from ninja import Router

from credentials.api import credential_at
from credentials.api_schema import LOAN_EXAMPLE, REPORT_EXAMPLE, SECRET_EXAMPLE, BrandId, LoanIn, LoanOut, SecretOut
from credentials.models import Credential, ReportedTooSoon, SignInFailed, TooManyWait
from fleetcontrol.api.operations import BODY_PROBLEMS, ApiRequest, Id, answer, not_found, operation
from fleetcontrol.api.problems import (
    CONFLICTING_RESOURCE,
    OEM_SIGN_IN_FAILED,
    RESOURCE_NOT_FOUND,
    SECRET_CANNOT_BE_OPENED,
    TOO_MANY_REQUESTS,
    ProblemError,
)
from fleetcontrol.db.clock import database_now
from fleetcontrol.seal import SealError

router = Router(tags=["Using credentials"])
OEM_ACCESS, SECRETS = "oem-access", "credential-secrets"
LOANS, RELEASES = 600, 60  # that one client may ask for in a minute


@router.post(
    "/telematics-brands/{brand}/credentials/{id}/access-token",
    operation_id="lend_credential_token",
    **operation(
        OEM_ACCESS,
        "Get the manufacturer’s access token",
        {200: LoanOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, OEM_SIGN_IN_FAILED],
        sends=REPORT_EXAMPLE,
        returns=LOAN_EXAMPLE,
    ),
)
def lend_credential_token(request: ApiRequest, brand: BrandId, id: Id, body: LoanIn | None = None) -> HttpResponse:
    """FleetControl signs in with the stored secret, which it does not release, and answers the token. Requests at the
    same time share one sign-in, and its token is given out until shortly before it ends.

    Report a token that the manufacturer no longer accepts as `refused_token`. However many programs report it, there is
    one new sign-in, and at most one a minute: a report of the new token within that minute is answered 429.
    """
    return lend(request, credential_at(request, brand, id), body)


@router.get(
    "/telematics-brands/{brand}/credentials/{id}/secret",
    operation_id="release_credential_secret",
    **operation(
        SECRETS,
        "Release the stored secret",
        {200: SecretOut},
        problems=[RESOURCE_NOT_FOUND, SECRET_CANNOT_BE_OPENED],
        returns=SECRET_EXAMPLE,
    ),
)
def release_credential_secret(request: ApiRequest, brand: BrandId, id: Id) -> HttpResponse:
    """For brands whose sign-in gives no token. The audit history records each release."""
    return release(request, credential_at(request, brand, id))


@sensitive_variables()
def lend(
    request: ApiRequest, credential: Credential, body: LoanIn | None, for_whom: Mapping[str, Any] | None = None
) -> HttpResponse:
    """The answer with the OEM's token. Raises ProblemError."""
    request.caller.use_up("token", LOANS)
    refused = body.refused_token.get_secret_value() if body and body.refused_token else ""
    try:
        loan = credential.lend_token(actor=request.actor, for_whom=for_whom, refused_token=refused)
    except SignInFailed as error:
        if error.until is None:
            raise ProblemError(CONFLICTING_RESOURCE, error.reason) from None
        wait = max(1, math.ceil((error.until - database_now()).total_seconds()))
        raise ProblemError(OEM_SIGN_IN_FAILED, error.reason, headers={"Retry-After": str(wait)}) from None
    except ReportedTooSoon as error:
        wait = max(1, math.ceil((error.until - database_now()).total_seconds()))
        words = _("This token is less than a minute old and came after a report. Report it again after that minute.")
        raise ProblemError(TOO_MANY_REQUESTS, words, headers={"Retry-After": str(wait)}) from None
    except TooManyWait:
        words = _("Many requests wait for manufacturers to answer. Ask again in a moment.")
        raise ProblemError(TOO_MANY_REQUESTS, words, headers={"Retry-After": "1"}) from None
    except ObjectDoesNotExist:  # deleted while FleetControl signed in
        raise not_found(_("credential"), credential.pk) from None
    left = int((loan.ends_at - database_now()).total_seconds())
    lent = {"access_token": loan.token.reveal(), "token_type": "bearer", "expires_in": max(0, left)}
    return answer(lent | {"expires_at": loan.ends_at}, private=True)


def release(request: ApiRequest, credential: Credential, for_whom: Mapping[str, Any] | None = None) -> HttpResponse:
    """The answer with the stored secret. Raises ProblemError."""
    request.caller.use_up("secret", RELEASES)
    try:
        secret = credential.release(actor=request.actor, for_whom=for_whom)
    except ObjectDoesNotExist:  # deleted a moment ago
        raise not_found(_("credential"), credential.pk) from None
    except SealError as error:
        raise ProblemError(SECRET_CANNOT_BE_OPENED, str(error)) from None
    body = {"id": credential.pk, "client_id": credential.identifier, "settings": credential.settings}
    return answer(body | {"secret": secret}, private=True)
