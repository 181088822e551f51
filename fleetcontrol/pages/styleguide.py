"""/styleguide/, for developers and tests: a page that shows every component in every state with invented content."""

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fleetcontrol.pages.widgets import ChoiceCards, SecretInput


class Example(forms.Form):
    name = forms.CharField(label="Name", help_text="Shown in lists and in the audit history.", initial="BMW Germany")
    environment = forms.ChoiceField(
        label="Environment",
        choices=[("production", "Production"), ("sandbox", "Sandbox")],
        initial="production",
        widget=ChoiceCards(hints={"production": "Real vehicles and live data", "sandbox": "BMW test vehicles only"}),
    )
    client_id = forms.CharField(
        label="Client ID",
        widget=forms.TextInput(attrs={"class": "mono"}),
        error_messages={"required": "Enter the client ID"},
    )
    client_secret = forms.CharField(
        label="Client secret",
        help_text="You can paste it. After saving, nobody can read it back.",
        widget=SecretInput,
        error_messages={"required": "Enter the client secret again. Secrets are cleared when a form has errors"},
    )
    region = forms.ChoiceField(label="Region", choices=[("eu", "Europe"), ("us", "North America")])
    key = forms.CharField(label="Private key", required=False, widget=forms.Textarea(attrs={"class": "mono"}))
    certificate = forms.FileField(label="Certificate", required=False, help_text="In PEM form, 64 KB at most.")
    ends_on = forms.DateField(label="Ends on", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    understood = forms.BooleanField(label="I have stored the secret", required=False)


@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in every state."""
    return render(request, "styleguide.html", context())


def context() -> dict[str, Any]:
    values = {"name": "BMW Germany", "environment": "production", "region": "eu"}
    broken = Example({f"broken-{field}": value for field, value in values.items()}, prefix="broken")
    return {
        "form_plain": Example(),
        "form_broken": broken,
        "statuses": [
            ("ok", "circle-check", "Working", "Checked 4 min ago"),
            ("warn", "clock", "Expires in 9 days", "Checked 2 min ago"),
            ("bad", "circle-x", "Sign-in rejected", "Since 14 Nov, 08:12"),
            ("warn", "triangle-alert", "Not reachable", "Since 09:12"),
            ("", "circle-dashed", "Not checked", "No vehicles yet"),
        ],
        "coverage": [
            (1, "BMW", 231, 0.0, 51.4),
            (2, "Mercedes-Benz", 96, 51.4, 21.4),
            (3, "Tesla", 85, 72.8, 18.9),
            (4, "Volkswagen", 25, 91.7, 5.6),
            (0, "No credential", 12, 97.3, 2.7),
        ],
        "steps": [
            "Sign in to the BMW developer portal with your company account.",
            "Open your application and copy its client ID.",
            "Create a secret there and paste it here. BMW shows it once.",
        ],
        "facts": [("Brand", "BMW"), ("Environment", "Production, Europe"), ("Secret", "Version 3, since 12 Aug 2026")],
        "tones": ["", "ok", "warn", "bad"],
        "rows": [("BMW Germany", "7f3c2a90…91ab", 184), ("BMW Austria", "c40b77de…02f4", 47)],
    }
