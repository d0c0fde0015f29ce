"""The forms of the sign-in pages."""

from __future__ import annotations

import re

from django import forms

from accounts.sign_in_shapes import TOKEN_LENGTH
from stackbe.kernel.serializers import EMAIL_LENGTH


class SignInForm(forms.Form):
    """An address to mail a link to."""

    email = forms.EmailField(
        label="E-mail",
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )
    next = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)


class SignUpForm(SignInForm):
    """The same, and what the new tenant is called."""

    name = forms.CharField(
        label="Company or product",
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    field_order = ("email", "name", "next")

    def clean_name(self) -> str:
        """Return the name; line breaks could end up in a header of a mail."""
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("Use one line of plain characters.")
        return name


class CodeForm(forms.Form):
    """The 6 digits of a mail, and whose they are."""

    email = forms.EmailField(
        label="E-mail", max_length=EMAIL_LENGTH, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    code = forms.RegexField(
        r"^\s*[0-9]{3}\s?[0-9]{3}\s*$",
        label="Code",
        error_messages={"invalid": "The code has 6 digits."},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def clean_code(self) -> str:
        """Return the digits without the spaces that people type."""
        code: str = self.cleaned_data["code"]
        return "".join(code.split())


class SentCodeForm(CodeForm):
    """The code alone, where the address was typed a moment ago."""

    email = forms.EmailField(max_length=EMAIL_LENGTH, widget=forms.HiddenInput)


class LinkForm(forms.Form):
    """The link of the mail, for who has no script: the part after # never leaves the browser by itself."""

    token = forms.CharField(
        label="Link",
        max_length=TOKEN_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_token(self) -> str:
        """Return the token, whether it came alone or in its link."""
        token: str = re.split(r"[#?&](?:token|invite)=", self.cleaned_data["token"].strip())[-1]
        return token
