"""Variables of the environment, each also as NAME_FILE, the path of a file that holds the value.

django-environ reads them; added is that a value that does not fit stops the start with a sentence that names it.
"""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

_TRUE, _FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0", "")


class _Variables(FileAwareMapping):  # type: ignore[misc]  # the library has no types
    def __getitem__(self, name: str) -> str:
        """The value without the line break that ends a file."""
        try:
            return str(super().__getitem__(name)).strip()
        except OSError as error:
            words = f"{name}_FILE names a file that cannot be read: {error.filename}: {error.strerror}."
            raise ImproperlyConfigured(words) from None


class Environment(environ.Env):  # type: ignore[misc]  # the library has no types
    """As environ.Env. Raises ImproperlyConfigured on a value that does not fit."""

    ENVIRON = _Variables()

    def get_value(self, var: str, cast: Any = None, *args: Any, **options: Any) -> Any:
        if cast is bool and (value := self.ENVIRON.get(var, "").lower()) not in _TRUE + _FALSE:
            raise ImproperlyConfigured(f"{var} must be true or false, not {value}.")
        try:
            return super().get_value(var, cast, *args, **options)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a whole number, not {self.ENVIRON[var]}.") from None
