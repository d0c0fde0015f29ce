"""What keeps one's own sign-in safe: second factors, recovery codes, browsers, and invitations that wait."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.dashboard.frame import MemberPage, identity
from accounts.errors import FactorNotFound, WrongCode
from accounts.pages import proof
from accounts.pages.factor_forms import FirstCodeForm, PasskeyForm, in_fours, qr_code
from accounts.services import devices, member_invitations
from accounts.services.factors import DeveloperFactors, own_scope
from accounts.services.members import memberships_of
from accounts.services.second_factors import AUTHENTICATOR, PASSKEY
from stackbe.kernel.errors import ApiError
from stackbe.kernel.ids import MalformedId, decode, encode
from stackbe.kernel.transactions import change, reading


class OwnPage(MemberPage):
    """A page about oneself rather than an app."""

    template = "dashboard/security.html"

    @property
    def factors(self) -> DeveloperFactors:
        """Return their own second factors."""
        return DeveloperFactors(self.user)

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
        with reading(own_scope(self.user)):
            return self.show({"codes": codes, "title": title}, template="dashboard/security_codes.html", status=201)


class Security(OwnPage):
    """The overview."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show factors, browsers and waiting invitations."""
        standing = self.factors.standing()
        context = {
            "standing": standing,
            "devices": devices.signed_in_devices(self.user, request.session),
            "offers": len(member_invitations.offers_to(bytes(self.user.email_index))),
            "places_shown": memberships_of(self.user.id),
        }
        with reading(own_scope(self.user)):
            return self.show(context)


class Authenticator(OwnPage):
    """Adding an authenticator app."""

    template = "dashboard/security_authenticator.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say what is about to happen; the secret is shown in answer to the button alone."""
        with reading(own_scope(self.user)):
            return self.show({})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make a secret and show it, or take its first code."""
        if "code" in request.POST:
            return self.confirm(FirstCodeForm(request.POST))
        with change(own_scope(self.user)):
            secret = self.factors.begin_authenticator()
            return self.show(self.shown(secret, FirstCodeForm()), status=201)

    def confirm(self, form: FirstCodeForm) -> HttpResponse:
        """Count the app from now on if the code fits; else show the same secret again."""
        try:
            if not form.is_valid():
                raise WrongCode
            proof.refuse_guessing(self.request, self.user)
            with change(own_scope(self.user)):
                codes = self.factors.confirm_authenticator(form.cleaned_data["code"])
        except FactorNotFound:
            messages.error(self.request, "That took too long, so the app was not added. Start again.")
            return redirect("account-authenticator")
        except ApiError as refused:
            form.add_error("code", str(refused))
            with reading(own_scope(self.user)):
                secret = self.factors.pending_secret()
                return self.show(self.shown(secret, form) if secret else {}, status=400)
        proof.stamp(self.request.session, AUTHENTICATOR)
        if codes:
            return self.codes_page(codes, "Your authenticator app is added")
        return self.said("Your authenticator app is added.")

    def shown(self, secret: str, form: FirstCodeForm) -> dict[str, Any]:
        """Return the secret as a picture and as text."""
        return {
            "form": form,
            "qr": qr_code(self.factors.otpauth_uri(secret)),
            "secret": in_fours(secret),
        }


class RemoveAuthenticator(OwnPage):
    """Removing the authenticator app."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Forget it; a mail says so."""
        with change(own_scope(self.user)):
            self.factors.remove_authenticator()
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
            with change(own_scope(self.user)):
                given = form.cleaned_data
                codes = self.factors.add_passkey(name=given["name"], answer=given["answer"], challenge=challenge)
        except ApiError as refused:
            form.add_error(None, str(refused))
            return self.form_page(form, 400)
        proof.stamp(request.session, PASSKEY)
        return self.codes_page(codes, "Your passkey is added") if codes else self.said("Your passkey is added.")

    def form_page(self, form: PasskeyForm, status: int = 200) -> HttpResponse:
        """Return the form with a fresh challenge."""
        challenge = proof.new_challenge(self.request.session, proof.ADDING)
        with reading(own_scope(self.user)):
            options = self.factors.registration_options(challenge)
            return self.show({"form": form, "options": options}, status=status)


class RemovePasskey(OwnPage):
    """Removing a passkey."""

    def post(self, request: HttpRequest, passkey_id: str) -> HttpResponse:
        """Forget it; a mail says so."""
        with change(own_scope(self.user)):
            self.factors.remove_passkey(passkey_id)
        return self.said("Removed. That passkey no longer signs you in.")


class RecoveryCodes(OwnPage):
    """Making recovery codes anew."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Replace them and show the new ones, this once."""
        with change(own_scope(self.user)):
            codes = self.factors.renew_recovery_codes()
        return self.codes_page(codes, "Your new recovery codes")


class EndDevice(OwnPage):
    """Signing one browser out."""

    def post(self, request: HttpRequest, device_id: str) -> HttpResponse:
        """End its session."""
        with change(own_scope(self.user)):
            devices.end_device(self.user, device_id)
        return self.said("That browser is signed out.")


class EndOtherDevices(OwnPage):
    """Signing every other browser out."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """End all sessions but this one."""
        with change(own_scope(self.user)):
            devices.end_other_devices(self.user, request.session)
        return self.said("Every other browser is signed out.")


class Invitations(OwnPage):
    """Places that are offered to one's address."""

    template = "dashboard/members_offers.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        waiting = member_invitations.offers_to(bytes(self.user.email_index))
        offers = [(encode("minv", offer.id), offer) for offer in waiting]
        with reading(own_scope(self.user)):
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
