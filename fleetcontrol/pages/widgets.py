"""Form controls of the design that Django lacks. templates/django/forms/field.html renders them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.forms import PasswordInput, RadioSelect, Textarea, URLInput

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class SecretInput(PasswordInput):
    """A secret of an OEM, with Show and Hide. It is never sent back to the browser, which does not store it."""

    holds_secret = True  # so templates/shared/form_safety.html leaves it out

    def __init__(self, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            attrs={
                "autocomplete": "off",
                "spellcheck": "false",
                "autocapitalize": "off",
                "class": "mono",
                **(attrs or {}),
            },
            render_value=False,
        )


class ChoiceCards(RadioSelect):
    """Up to three choices as cards. `hints` maps the value of a choice to the sentence under its label."""

    def __init__(self, hints: Mapping[str, StrOrPromise] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hints = dict(hints or {})

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().create_option(name, value, *args, **kwargs), "hint": self.hints.get(str(value), "")}


class SecretText(Textarea):
    """A secret of several lines, such as a private key. It is never sent back to the browser."""

    holds_secret = True

    def __init__(self, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono", **(attrs or {})})

    def format_value(self, value: Any) -> None:
        """Render nothing, whatever was typed."""


class SecretAddress(URLInput):
    """An address that may hold a token. It can be read while it is typed and is never sent back to the browser."""

    holds_secret = True

    def __init__(self, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", **(attrs or {})})

    def format_value(self, value: Any) -> None:
        """Render nothing, whatever was typed."""
