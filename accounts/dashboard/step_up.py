"""Proof before what cannot be undone: who sits at a signed-in browser may not be who signed in.

The pages are named in one table. The question is put in answer to the form itself and carries its fields
along, so that giving the proof is also sending the form: nothing is typed twice, with scripts or without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.template.loader import render_to_string

from accounts import opaque
from accounts.pages import browser, proof
from accounts.services import developers
from accounts.services.factors import DeveloperFactors
from accounts.services.second_factors import EMAIL
from stackbe.kernel.errors import ApiError
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

    from accounts.models import User

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CODE, ANSWER, SEND = "proof_code", "proof_answer", "proof_send"
OURS = frozenset({CODE, ANSWER, SEND, "csrfmiddlewaretoken"})
# URL names whose forms want a fresh proof; where one URL does several things, the actions that do.
ASKED_FOR: Mapping[str, frozenset[str] | None] = {
    "account-authenticator": None,
    "account-authenticator-remove": None,
    "account-passkeys": None,
    "account-passkey-remove": None,
    "account-recovery-codes": None,
    "dashboard-account-archive": None,
    "dashboard-account-delete": None,
    "dashboard-account-export": None,
    "dashboard-app-archive": None,
    "dashboard-customer-delete": None,
    "dashboard-customer-factors": None,
    "dashboard-key-revoke": None,
    "dashboard-key-rotate": None,
    "dashboard-keys": None,
    "dashboard-member-leave": None,
    "dashboard-member-remove": None,
    "dashboard-member-role": None,
    "dashboard-member-transfer": None,
    "dashboard-members": None,
    "dashboard-organization-delete": None,
    "dashboard-provider": None,
    "dashboard-provider-delete": None,
    "dashboard-providers": None,
    "dashboard-staff": None,
    "dashboard-webhook-action": frozenset({"rotate"}),
    "stripe-disconnect": None,
}


def wants_proof(request: HttpRequest) -> bool:
    """Say whether a request does what the table names."""
    match = request.resolver_match
    if request.method in SAFE or match is None or match.url_name not in ASKED_FOR:
        return False
    actions = ASKED_FOR[match.url_name or ""]
    return actions is None or match.kwargs.get("action") in actions


def demand(request: HttpRequest, user: User) -> HttpResponse | None:
    """Return the page that asks for a proof, None where none is wanted or it is given with this very form.

    Call it once it is settled that the member may do the thing at all.
    """
    session = request.session
    if not wants_proof(request) or proof.is_fresh(session, user):
        return None
    has_factor = DeveloperFactors(user).has_factor()
    code, answer = request.POST.get(CODE, ""), request.POST.get(ANSWER, "")
    error = ""
    if (code or answer) and SEND not in request.POST:
        try:
            if has_factor:
                proof.prove(request, user, code=code, answer=answer, then=lambda by: proof.stamp(session, by))
            else:
                proof.prove_by_mail(request, user, code)
                proof.stamp(session, EMAIL)
        except ApiError as refused:
            error = str(refused)
        else:
            return None
    return _question(request, user, has_factor=has_factor, error=error)


def _question(request: HttpRequest, user: User, *, has_factor: bool, error: str) -> HttpResponse:
    with reading(platform_scope("step-up")):
        address = user.email
    sent = False
    if not has_factor and not error and not browser.asks_too_often(request, address):
        developers.request_proof_code(user)
        sent = True
    factors = DeveloperFactors(user)
    standing = factors.standing()
    challenge = proof.new_challenge(request.session, proof.PROVING) if standing.passkeys else None
    context: dict[str, Any] = {
        "fields": [(name, value) for name, values in request.POST.lists() if name not in OURS for value in values],
        "error": error,
        "has_factor": has_factor,
        "has_authenticator": standing.authenticator_since is not None,
        "options": factors.proof_options(challenge) if challenge else None,
        "masked_email": opaque.masked(address),
        "was_sent": sent,
        "minutes": int(proof.FRESH.total_seconds() // 60),
    }
    page = HttpResponse(render_to_string("auth/second_factor_step_up.html", context, request), status=403)
    page["Cache-Control"] = "no-store"
    return page
