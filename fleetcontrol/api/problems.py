"""Problems: the API's error answers in the form of RFC 9457, with the flow id that ties them to log and audit events.

The catalogue holds every type of problem that the API can answer. Each has a page that explains it at the type's path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Problem:
    """One type of problem: `title` is short, `meaning` says when it occurs, `remedy` what to do about it."""

    name: str
    status: int
    title: StrOrPromise
    meaning: StrOrPromise
    remedy: StrOrPromise

    @property
    def path(self) -> str:
        return f"/problems/{self.name}"


VALIDATION_ERROR = Problem(
    "validation-error",
    400,
    _("The request has errors"),
    _("A value is missing, of the wrong type, too long or not allowed, or a property or parameter is not known."),
    _("Read “errors”: each entry names a field and what is wrong with it. Nothing was changed."),
)
INVALID_JSON = Problem(
    "invalid-json",
    400,
    _("The body is not JSON"),
    _("The body could not be read as JSON in UTF-8. The detail tells the line and column where reading stopped."),
    _("Mend the body at that place, or let a JSON library write it."),
)
REFERENCED_RESOURCE_NOT_FOUND = Problem(
    "referenced-resource-not-found",
    400,
    _("Something the body refers to does not exist"),
    _("An ID in the body belongs to nothing in this fleet, or to something of another brand."),
    _("List the credentials of the vehicle’s brand and use one of their IDs."),
)
MISSING_CREDENTIALS = Problem(
    "missing-credentials",
    401,
    _("There is no access token"),
    _("The request has no Authorization header."),
    _("Get a token from /auth/oauth/token and send it as “Authorization: Bearer …”."),
)
INVALID_CREDENTIALS = Problem(
    "invalid-credentials",
    401,
    _("The access token is not valid"),
    _("The token is damaged, older than 15 minutes, or its client or secret was revoked."),
    _("Get a new token. When that is refused too, ask an administrator of the fleet."),
)
MISSING_PERMISSIONS = Problem(
    "missing-permissions",
    403,
    _("The client has no permission for this"),
    _("The detail names the permission that the operation needs."),
    _("An administrator of the fleet can grant it to the API client; tokens that exist then have it too."),
)
RESOURCE_NOT_FOUND = Problem(
    "resource-not-found",
    404,
    _("There is nothing at this address"),
    _("The path is not one of the API’s, or nothing in this fleet has the ID in it."),
    _("Check the path and the ID. What another fleet has cannot be seen with this client."),
)
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed",
    405,
    _("This address does not take the method"),
    _("The path exists, but not with this HTTP method."),
    _("Use one of the methods that the header “Allow” names."),
)
UNIQUE_IDENTIFIER_ALREADY_EXISTS = Problem(
    "unique-identifier-already-exists",
    409,
    _("The name or identifier is taken"),
    _("A name, VIN or telematics unit is in use in this fleet already."),
    _("Choose another name, or find and change the one that exists."),
)
CONFLICTING_RESOURCE = Problem(
    "conflicting-resource",
    409,
    _("Something else stands against it"),
    _(
        "A credential cannot be deleted while vehicles use it; an Idempotency-Key cannot be used for two requests; an "
        "import that has ended cannot go on."
    ),
    _(
        "Move the vehicles to another credential first, with POST /vehicles/move; use a new key for a new request; "
        "read the import’s stage."
    ),
)
RESOURCE_MODIFIED = Problem(
    "resource-modified",
    412,
    _("It was changed meanwhile"),
    _("The ETag in If-Match is not that of today’s version."),
    _("Read it again, look at what changed, and repeat the request with the new ETag."),
)
PAYLOAD_TOO_LARGE = Problem(
    "payload-too-large",
    413,
    _("The body is too large"),
    _("A body may have up to 2 MB, the file of an import up to 32 MB."),
    _("Send several smaller requests, or import a file."),
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported-media-type",
    415,
    _("The body is of the wrong type"),
    _("Bodies are JSON; that of a token request is a form."),
    _("Send the Content-Type that the detail names."),
)
TOO_MANY_REQUESTS = Problem(
    "too-many-requests",
    429,
    _("Too many requests"),
    _("The client has used up what it may ask for at the moment."),
    _("Wait as many seconds as the header “Retry-After” says."),
)
INTERNAL_SERVER_ERROR = Problem(
    "internal-server-error",
    500,
    _("FleetControl made a mistake"),
    _("Something failed that is not the request’s fault. Nothing was changed."),
    _("Try again later. If it stays, give the operator the flow ID of the answer: the log has it."),
)
OEM_SIGN_IN_FAILED = Problem(
    "oem-sign-in-failed",
    502,
    _("The manufacturer gave no token"),
    _("FleetControl signed in with the stored secret; the manufacturer refused it or did not answer."),
    _("The detail says what it answered. Replace the secret if it was refused; else try again later."),
)
SERVICE_UNAVAILABLE = Problem(
    "service-unavailable",
    503,
    _("FleetControl cannot work at the moment"),
    _("Its database does not answer or takes no changes. Nothing is wrong with the request."),
    _(
        "Repeat the request after as many seconds as the header “Retry-After” says. With an Idempotency-Key, it is not "
        "done twice."
    ),
)
SECRET_CANNOT_BE_OPENED = Problem(
    "secret-cannot-be-opened",
    503,
    _("The stored secret cannot be opened"),
    _("FleetControl lacks the key with which the secret was sealed. Nothing is wrong with the request."),
    _("Ask the operator to put the key back into FERNET_KEYS, or replace the secret."),
)

CATALOGUE: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        VALIDATION_ERROR,
        INVALID_JSON,
        REFERENCED_RESOURCE_NOT_FOUND,
        MISSING_CREDENTIALS,
        INVALID_CREDENTIALS,
        MISSING_PERMISSIONS,
        RESOURCE_NOT_FOUND,
        METHOD_NOT_ALLOWED,
        UNIQUE_IDENTIFIER_ALREADY_EXISTS,
        CONFLICTING_RESOURCE,
        RESOURCE_MODIFIED,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        TOO_MANY_REQUESTS,
        INTERNAL_SERVER_ERROR,
        OEM_SIGN_IN_FAILED,
        SERVICE_UNAVAILABLE,
        SECRET_CANNOT_BE_OPENED,
    )
}


MOST_ERRORS = 1000  # that one answer tells: one for each item of the largest bulk request
_LONGEST = 500  # characters of a field or message, which may quote what was sent


class ProblemError(Exception):
    """Ends a request of the API with a problem. `errors` maps a field to what is wrong with it.

    `count` is how many errors there are, if `errors` holds only the first of them.
    """

    def __init__(
        self,
        problem: Problem,
        detail: StrOrPromise = "",
        *,
        errors: Sequence[tuple[str, StrOrPromise]] = (),
        count: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.problem = problem
        self.detail = detail or problem.meaning
        self.errors = errors[:MOST_ERRORS]
        self.count = max(count, len(errors))
        self.headers = headers or {}
        super().__init__(problem.name)

    @classmethod
    def of(cls, error: ValidationError, names: Mapping[str, str] | None = None, prefix: str = "") -> ProblemError:
        """The problem of a model's verb that refused its values: an identifier is taken, or a value is wrong.

        `names` has the API's names of the model's fields, where they differ; `prefix` stands before each.
        """
        names = names or {}
        single_errors = [
            (prefix + names.get(field, "" if field == NON_FIELD_ERRORS else field), one)
            for field, errors in by_field(error).items()
            for one in errors
        ]
        taken = all(one.code == "unique" for _field, one in single_errors)
        return cls(
            UNIQUE_IDENTIFIER_ALREADY_EXISTS if taken else VALIDATION_ERROR,
            " ".join(dict.fromkeys(" ".join(one.messages) for _field, one in single_errors)) if taken else "",
            errors=[(field, " ".join(one.messages)) for field, one in single_errors],
        )

    def answer(self, flow_id: str) -> HttpResponse:
        """The answer in application/problem+json."""
        body: dict[str, Any] = {
            "type": self.problem.path,
            "type_documentation": f"{settings.PUBLIC_URL}{self.problem.path}",
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail,
            "flow_id": flow_id,
        }
        if self.errors:
            body["errors"] = [
                {"field": field[:_LONGEST], "message": str(message)[:_LONGEST]} for field, message in self.errors
            ]
        if more := self.count - len(self.errors):
            body["detail"] = f"{self.detail} " + gettext("And %(more)d more errors.") % {"more": more}
        return HttpResponse(
            json.dumps(body, ensure_ascii=False, default=_text).encode(errors="replace"),  # a name may be half a pair
            status=self.problem.status,
            content_type="application/problem+json",
            headers=dict(self.headers),
        )


def by_field(error: ValidationError) -> dict[str, list[ValidationError]]:
    """The single errors of a ValidationError by field; NON_FIELD_ERRORS is the field of one that has no fields."""
    if hasattr(error, "error_dict"):
        return error.error_dict
    return {NON_FIELD_ERRORS: error.error_list}


def _text(value: object) -> str:
    """The text of a lazily translated sentence, for json.dumps."""
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a problem")
