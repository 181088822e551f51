"""What an error report tells: where and what failed, never what was typed.

Django hides what functions and views name as sensitive, and nothing at all with DEBUG. Here nothing needs to be named:
of local variables and of what was sent only the names and types are told, with DEBUG too.
"""

import re
from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class NoValues(SafeExceptionReporterFilter):
    """DEFAULT_EXCEPTION_REPORTER_FILTER."""

    # Django's words, and those of settings that hold addresses with a password, mail servers and sign-in providers.
    hidden_settings = re.compile(
        r"API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|COOKIE|_URL|DATABASE|EMAIL|MAILER|OIDC|PROVIDERS|CSRF", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, str]:
        return {} if request is None else dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, str]:
        return dict.fromkeys(request.COOKIES, self.cleansed_substitute) if hasattr(request, "COOKIES") else {}

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> ItemsView[str, Any]:
        return {name: f"<{type(value).__name__}>" for name, value in tb_frame.f_locals.items()}.items()
