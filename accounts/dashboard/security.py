"""What keeps one's own sign-in safe: second factors, recovery codes, browsers, and invitations that wait."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import segno
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from accounts.dashboard.frame import MemberPage, identity
from accounts.errors import FactorNotFound, WrongCode
from accounts.pages import proof
from accounts.services import devices, factors, factors_passkeys, member_invitations
from accounts.services.members import memberships_of
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import MalformedId, decode, encode
from stackbe.kernel.transactions import change, reading

QR_SCALE, QR_BORDER = 5, 4


class PasskeyForm(forms.Form):
    """What a passkey is called."""

    name = forms.CharField(
        label="Name",
        max_length=60,
        help_text="Where it lives, such as “laptop” or “blue key”.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "data-needed-with-passkey": ""}),
    )
    answer = forms.CharField(required=False, max_length=factors_passkeys.LONGEST_ANSWER, widget=forms.HiddenInput)


class CodeForm(forms.Form):
    """The first code of an authenticator app."""

    code = forms.CharField(
        label="Code that the app shows",
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )


class OwnPage(MemberPage):
    """A page about oneself rather than an app."""

    template = "dashboard/security.html"

    def shell(self) -> dict[str, Any]:
        """Return who is signed in."""
        return identity(self.user)

    def back(self) -> HttpResponse:
        """Return to the overview."""
        return redirect("account-security")

    def said(self, sentence: str) -> HttpResponse:
        """Say what was done, on the overview."""
        messages.success(self.request, sentence)
        return redirect("account-security")

    def codes_page(self, codes: list[str], title: str) -> HttpResponse:
        """Show recovery codes, this once."""
        with reading(factors.own_scope(self.user)):
            return self.show({"codes": codes, "title": title}, template="dashboard/security_codes.html", status=201)


class Security(OwnPage):
    """The overview."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show factors, browsers and waiting invitations."""
        standing = factors.standing(self.user.id)
        context = {
            "standing": standing,
            "devices": devices.signed_in_devices(self.user, request.session),
            "offers": len(member_invitations.offers_to(bytes(self.user.email_index))),
            "places_shown": memberships_of(self.user.id),
        }
        with reading(factors.own_scope(self.user)):
            return self.show(context)


class Authenticator(OwnPage):
    """Adding an authenticator app."""

    template = "dashboard/security_authenticator.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say what is about to happen; the secret is shown in answer to the button alone."""
        with reading(factors.own_scope(self.user)):
            return self.show({})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a secret and show it, or take its first code."""
        if "code" in request.POST:
            return self.confirm(CodeForm(request.POST))
        with change(factors.own_scope(self.user)):
            secret = factors.begin_authenticator(self.user)
            return self.show(self.shown(secret, CodeForm()), status=201)

    def confirm(self, form: CodeForm) -> HttpResponse:
        """Count the app from now on if the code fits; else show the same secret again."""
        try:
            if not form.is_valid():
                raise WrongCode
            proof.refuse_guessing(self.request, self.user)
            with change(factors.own_scope(self.user)):
                code = "".join(form.cleaned_data["code"].split())
                codes = factors.confirm_authenticator(self.user, code)
        except FactorNotFound:
            messages.error(self.request, "That took too long, so the app was not added. Start again.")
            return redirect("account-authenticator")
        except ApiError as refused:
            form.add_error("code", str(refused))
            with reading(factors.own_scope(self.user)):
                secret = factors.pending_secret(self.user)
                return self.show(self.shown(secret, form) if secret else {}, status=400)
        proof.stamp(self.request.session, factors.AUTHENTICATOR)
        if codes:
            return self.codes_page(codes, "Your authenticator app is added")
        return self.said("Your authenticator app is added.")

    def shown(self, secret: str, form: CodeForm) -> dict[str, Any]:
        """Return the secret as a picture and as text."""
        return {
            "form": form,
            "qr": qr_code(f"otpauth://totp/StackBE:{quote(self.user.email)}?secret={secret}&issuer=StackBE"),
            "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        }


class RemoveAuthenticator(OwnPage):
    """Removing the authenticator app."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Forget it; a mail says so."""
        with change(factors.own_scope(self.user)):
            factors.remove_authenticator(self.user)
        return self.said("Removed. Codes of that app no longer work.")


class Passkeys(OwnPage):
    """Adding a passkey."""

    template = "dashboard/security_passkey.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form, with what the authenticator is asked."""
        return self.form_page(PasskeyForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the passkey that the authenticator made."""
        form = PasskeyForm(request.POST)
        if not form.is_valid():
            return self.form_page(form, 400)
        try:
            challenge = proof.taken_challenge(request.session, proof.ADDING)
            with change(factors.own_scope(self.user)):
                given = form.cleaned_data
                codes = factors_passkeys.add_passkey(
                    self.user, name=given["name"], answer=given["answer"], challenge=challenge
                )
        except ApiError as refused:
            form.add_error(None, str(refused))
            return self.form_page(form, 400)
        proof.stamp(request.session, factors.PASSKEY)
        return self.codes_page(codes, "Your passkey is added") if codes else self.said("Your passkey is added.")

    def form_page(self, form: PasskeyForm, status: int = 200) -> HttpResponse:
        """Return the form with a fresh challenge."""
        challenge = proof.new_challenge(self.request.session, proof.ADDING)
        with reading(factors.own_scope(self.user)):
            options = factors_passkeys.registration_options(self.user, challenge)
            return self.show({"form": form, "options": options}, status=status)


class RemovePasskey(OwnPage):
    """Removing a passkey."""

    def post(self, request: HttpRequest, passkey_id: str) -> HttpResponse:
        """Forget it; a mail says so."""
        with change(factors.own_scope(self.user)):
            factors_passkeys.remove_passkey(self.user, passkey_id)
        return self.said("Removed. That passkey no longer signs you in.")


class RecoveryCodes(OwnPage):
    """Making recovery codes anew."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Replace them and show the new ones, this once."""
        with change(factors.own_scope(self.user)):
            codes = factors.renew_recovery_codes(self.user)
        return self.codes_page(codes, "Your new recovery codes")


class EndDevice(OwnPage):
    """Signing one browser out."""

    def post(self, request: HttpRequest, device_id: str) -> HttpResponse:
        """End its session."""
        with change(factors.own_scope(self.user)):
            devices.end_device(self.user, device_id)
        return self.said("That browser is signed out.")


class EndOtherDevices(OwnPage):
    """Signing every other browser out."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """End all sessions but this one."""
        with change(factors.own_scope(self.user)):
            devices.end_other_devices(self.user, request.session)
        return self.said("Every other browser is signed out.")


class Invitations(OwnPage):
    """Places that are offered to one's address."""

    template = "dashboard/members_offers.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        waiting = member_invitations.offers_to(bytes(self.user.email_index))
        offers = [(encode("minv", offer.id), offer) for offer in waiting]
        with reading(factors.own_scope(self.user)):
            return self.show({"offers": offers})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Take a place or decline it."""
        offer_id = invitation_uuid(request.POST.get("invitation", ""))
        if request.POST.get("answer") == "decline":
            member_invitations.decline_offer(self.user, offer_id)
            messages.success(request, "Declined.")
            return redirect("account-invitations")
        member_invitations.accept_offer(self.user, offer_id)
        return redirect("dashboard")

    def back(self) -> HttpResponse:
        """Return to the list."""
        return redirect("account-invitations")


def invitation_uuid(name: str) -> UUID:
    """Return an invitation's id from its public form; one that is none names nothing."""
    try:
        return decode("minv", name)
    except MalformedId:
        return UUID(int=0)


def qr_code(text: str) -> SafeString:
    """Return a text as a QR code: an SVG without style or script, dark on white in any colour scheme."""
    code = segno.make(text, error="m").svg_inline(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff")
    return SafeString(code)
