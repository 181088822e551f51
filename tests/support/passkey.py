"""A passkey in software: real keys, signatures and challenges, through the pages that browsers use."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.urls import reverse
from fido2.cose import ES256
from fido2.utils import sha256, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

RP, ORIGIN, ID = "testserver", "https://testserver", b"key-of-the-tests"
FLAG = AuthenticatorData.FLAG


class Passkey:
    """A key of one person. `verifies` says whether it asks for a PIN, finger or face."""

    def __init__(self, *, verifies: bool = True) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.flags = FLAG.UP | FLAG.UV if verifies else FLAG.UP
        self.handle = ""

    def set_up(self, browser: Client) -> Any:
        """Add the key on the page of a signed-in person. Returns the answer."""
        page = reverse("mfa_add_webauthn")
        options = self.options_on(browser.get(page), "creation_options")
        self.handle = options["user"]["id"]
        key = ES256.from_cryptography_key(self.private.public_key())  # type: ignore[no-untyped-call]
        inside = AttestedCredentialData.create(b"\0" * 16, ID, key)
        data = AuthenticatorData.create(sha256(RP.encode()), self.flags | FLAG.AT, 0, inside)
        response = {
            "clientDataJSON": websafe_encode(self.client_data("webauthn.create", options["challenge"])),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        }
        return browser.post(page, {"name": "Key", "credential": self.credential(response)})

    def sign_in(self, browser: Client, challenge: str = "") -> Any:
        """Sign in with the key alone, by the page's own challenge or by another one. Returns the answer."""
        page = reverse("mfa_login_webauthn")
        if not challenge:
            options = browser.get(page, headers={"X-Requested-With": "XMLHttpRequest"}).json()["request_options"]
            challenge = options["publicKey"]["challenge"]
        return browser.post(page, {"credential": self.answer(challenge)})

    def answer(self, challenge: str) -> str:
        data = AuthenticatorData.create(sha256(RP.encode()), self.flags, 1)
        client_data = self.client_data("webauthn.get", challenge)
        signature = self.private.sign(data + client_data.hash, ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature),
            "userHandle": self.handle,
        }
        return self.credential(response)

    def options_on(self, page: Any, name: str) -> dict[str, Any]:
        """The options for the key, as the page hands them to the browser."""
        found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page.content.decode(), re.DOTALL)
        assert found
        options: dict[str, Any] = json.loads(unescape(found[1]))[name]["publicKey"]
        return options

    def client_data(self, kind: str, challenge: str) -> CollectedClientData:
        return CollectedClientData.create(kind, challenge, ORIGIN)

    def credential(self, response: dict[str, str]) -> str:
        key = {"id": websafe_encode(ID), "rawId": websafe_encode(ID), "type": "public-key"}
        return json.dumps(key | {"response": response, "clientExtensionResults": {"credProps": {"rk": True}}})
