"""The step after the link for developers with a second factor, and the page that an invitation opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_ratelimit.decorators import ratelimit

from accounts.errors import InvitedSomebodyElse
from accounts.models import User
from accounts.pages import browser, proof
from accounts.pages.developers import PAGE_METHODS, TRIES, Refusal, safe_path
from accounts.services import member_invitations
from accounts.services.factors import DeveloperFactors
from stackbe.kernel.errors import ApiError

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.services.member_invitations import Offer


@require_http_methods(PAGE_METHODS)
@browser.discreet
@ratelimit(group="developer-factor", **TRIES)
def give_factor(request: HttpRequest) -> HttpResponse:
    """Take the second factor of who came by a link; only then are they signed in."""
    half = proof.half_signed_in(request.session)
    if half is None:
        return redirect("login")
    user, next_path = half
    error = ""
    if request.method == "POST":
        entry = proof.Entry(request)
        code, answer = request.POST.get("code", ""), request.POST.get("answer", "")
        try:
            proof.prove(request, user, code=code, answer=answer, then=lambda by: entry.admit(user, by))
        except ApiError as refused:
            error = str(refused)
        else:
            return entry.onward(safe_path(next_path))
    factors = DeveloperFactors(user)
    standing = factors.standing()
    challenge = proof.new_challenge(request.session, proof.PROVING) if standing.passkeys else None
    context = {
        "error": error,
        "has_authenticator": standing.authenticator_since is not None,
        "options": factors.proof_options(challenge) if challenge else None,
    }
    return render(request, "auth/second_factor.html", context, status=400 if error else 200)


@require_http_methods(PAGE_METHODS)
@browser.discreet
@ratelimit(group="member-invitation", **TRIES)
def invitation(request: HttpRequest) -> HttpResponse:
    """Show an invitation's page, which spends nothing; its button posts the token, which takes the place.

    Nobody takes a place before the page has named the account and the address.
    """
    if request.method != "POST":
        return render(request, "auth/invitation.html", _invitation_context())
    token = request.POST.get("token", "")
    user = request.user if isinstance(request.user, User) else None
    entry = proof.Entry(request)
    try:
        offer = member_invitations.offer_of(token)
        if not browser.was_named(request, offer.waiting.id):
            response = render(request, "auth/invitation.html", {**_invitation_context(offer), "token": token})
            browser.remember_named(response, offer.waiting.id)
            return response
        member_invitations.accept_link(token, user, entry)
    except InvitedSomebodyElse as refused:
        return render(request, "auth/invitation.html", {"wrong_person": str(refused)}, status=409)
    except Refusal as refused:
        return render(request, "auth/invitation.html", {"dead": str(refused)}, status=410)
    account = f"{reverse('dashboard')}?account={offer.waiting.tenant_id}"
    return entry.onward(account)


@require_POST
@browser.discreet
@ratelimit(group="member-invitation-peek", **TRIES)
def peek_invitation(request: HttpRequest) -> HttpResponse:
    """Tell the page what the invitation in its fragment offers, and to whom; spends nothing."""
    try:
        offer = member_invitations.offer_of(request.POST.get("token", ""))
    except Refusal as refusal:
        return JsonResponse({"code": refusal.code}, status=refusal.status)
    told = {"email": offer.masked_email, "tenant": offer.waiting.tenant_name, "role": offer.waiting.role}
    response = JsonResponse(told)
    browser.remember_named(response, offer.waiting.id)
    return response


def _invitation_context(offer: Offer | None = None) -> dict[str, object]:
    return {
        "action": reverse("member-invitation"),
        "peek_url": reverse("member-invitation-peek"),
        "offer": offer,
        "sign_in_url": f"{reverse('login')}?next={reverse('account-invitations')}",
    }
