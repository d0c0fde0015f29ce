"""One code, many at once: one gets in."""

from __future__ import annotations

import threading

from django.db import connections
from django.utils import timezone

from accounts.models import TotpFactor
from accounts.services.factors import DeveloperFactors, own_scope
from accounts.services.users import ensure_user
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change
from tests.members.authenticators import app_code


def test_of_eight_racers_with_one_code_one_gets_in(committed):
    with change(platform_scope("test")):
        person = ensure_user("ada@example.com")
    with change(own_scope(person)):
        secret = DeveloperFactors(person).begin_authenticator()
    with change(own_scope(person)):
        codes = DeveloperFactors(person).confirm_authenticator(app_code(secret, timezone.now().timestamp()))
    with change(own_scope(person)):
        TotpFactor.objects.filter(user_id=person.id).update(last_step=0)
    code = app_code(secret, timezone.now().timestamp())
    outcomes = {"app": [], "recovery": []}
    start = threading.Barrier(16)

    def race(kind):
        start.wait()
        with change(own_scope(person)):
            passed = (
                DeveloperFactors(person).check_authenticator(code)
                if kind == "app"
                else DeveloperFactors(person).spend_recovery_code(codes[0])
            )
        outcomes[kind].append(passed)
        connections.close_all()

    threads = [threading.Thread(target=race, args=(kind,)) for kind in outcomes for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {kind: sum(passed) for kind, passed in outcomes.items()} == {"app": 1, "recovery": 1}
