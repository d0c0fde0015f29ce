"""What is typed, scanned and pressed to add a second factor, for developers and for customers."""

from __future__ import annotations

import segno
from django import forms
from django.utils.safestring import SafeString

from accounts.services.passkeys import LONGEST_ANSWER

QR_SCALE, QR_BORDER = 5, 4


class PasskeyForm(forms.Form):
    """What a passkey is called."""

    name = forms.CharField(
        label="Name",
        max_length=60,
        help_text="Where it lives, such as “laptop” or “blue key”.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "data-needed-with-passkey": ""}),
    )
    answer = forms.CharField(required=False, max_length=LONGEST_ANSWER, widget=forms.HiddenInput)


class FirstCodeForm(forms.Form):
    """The first code of an authenticator app."""

    code = forms.CharField(
        label="Code that the app shows",
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )

    def clean_code(self) -> str:
        """Return the digits without the spaces that people type."""
        code: str = self.cleaned_data["code"]
        return "".join(code.split())


def qr_code(text: str) -> SafeString:
    """Return a text as a QR code: an SVG without style or script, dark on white in any colour scheme."""
    code = segno.make(text, error="m").svg_inline(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff")
    return SafeString(code)


def in_fours(secret: str) -> str:
    """Return a secret as it is typed off a screen."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
