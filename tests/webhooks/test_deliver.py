"""From an event to the app's door and back into the log."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import orjson
import pytest
from procrastinate.contrib.django.models import ProcrastinateJob
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.transactions import change, reading
from tests.cast import Api
from tests.webhooks.conftest import Desk, dispatching
from tests.webhooks.receiver import Receiver, Reply
from webhooks.dispatch.loop import Limits
from webhooks.models import Attempt, Delivery, WebhookEndpoint
from webhooks.outbox import emit
from webhooks.schedule import MAX_ATTEMPTS
from webhooks.services.endpoints import rotate_secret
from webhooks.services.replay import change_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cast import Company


@pytest.fixture
def desk(acme_committed: Company) -> Desk:
    return Desk(acme_committed)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what another thread commits."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def finished(desk: Desk, count: int = 1) -> list[Delivery]:
    until(lambda: len(desk.deliveries(attempts__gt=0, lease=None)) == count)
    return desk.deliveries()


def test_an_event_arrives_and_both_public_libraries_verify_it(desk: Desk, receiver: Receiver) -> None:
    endpoint = desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        [call] = receiver.wait_for(bool)
        [delivery] = finished(desk)

    StandardWebhook(endpoint.secret).verify(call.body, call.headers)
    SvixWebhook(endpoint.secret).verify(call.body, call.headers)
    body = orjson.loads(call.body)
    assert call.id == body["id"] == encode("evt", delivery.event_id)
    assert body["type"] == "customer.created"
    assert body["data"] == {"number": 0}
    assert (delivery.status, delivery.attempts, delivery.response_status) == ("delivered", 1, 200)


def test_only_endpoints_that_take_the_type_hear_of_it(desk: Desk, receiver: Receiver) -> None:
    desk.endpoint(f"{receiver.url}/no", "customer.deleted")
    desk.endpoint(f"{receiver.url}/yes", "customer.created", "customer.deleted")
    with dispatching():
        desk.emit()
        finished(desk)

    assert [call.path for call in receiver.calls] == ["/hooks/yes"]


def test_a_tenant_hears_of_its_own_events_alone(desk: Desk, globex_committed: Company, receiver: Receiver) -> None:
    rival = Desk(globex_committed)
    rival.endpoint(f"{receiver.url}/globex")
    desk.endpoint(f"{receiver.url}/acme")
    with dispatching():
        desk.emit()
        finished(desk)

    assert [call.path for call in receiver.calls] == ["/hooks/acme"]
    assert rival.deliveries() == []


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
def test_anything_but_2xx_is_tried_again_under_the_same_id(desk: Desk, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: Reply(status) if len(receiver.calls) == 0 else Reply()
    desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        [delivery] = finished(desk)
        assert (delivery.status, delivery.response_status) == ("pending", status)
        assert 0 < (delivery.due_at - wall_clock()).total_seconds() < 6
        desk.make_due()
        until(lambda: desk.deliveries()[0].status == "delivered")

    first, second = receiver.calls
    assert first.id == second.id
    assert first.body == second.body


def test_retry_after_is_respected(desk: Desk, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(503, headers={"Retry-After": "3600"})
    desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        [delivery] = finished(desk)

    assert 3500 < (delivery.due_at - wall_clock()).total_seconds() <= 3600


def test_after_ten_attempts_a_delivery_has_failed(desk: Desk, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500)
    desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        for number in range(1, MAX_ATTEMPTS + 1):
            until(lambda n=number: len(desk.deliveries(attempts=n, lease=None)) == 1)  # type: ignore[misc]  # a default binds it
            desk.make_due()

    [delivery] = desk.deliveries()
    assert delivery.status == "failed"
    assert len(receiver.calls) == MAX_ATTEMPTS == 10
    assert len({call.id for call in receiver.calls}) == 1


def test_410_disables_the_endpoint(desk: Desk, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(410)
    endpoint = desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        [delivery] = finished(desk)
        desk.emit()
        until(lambda: len(desk.deliveries()) == 1)

    with reading(desk.scope):
        endpoint.refresh_from_db()
    assert delivery.status == "failed"
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")

    with change(desk.scope):
        change_endpoint(desk.scope, endpoint.public_id, enabled=True)
    # Both were missed: the one that was answered 410, and the one after it.
    assert {each.event_id for each in desk.deliveries(status="pending")} >= {delivery.event_id}


def test_an_endpoint_that_failed_for_five_days_is_disabled(desk: Desk, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500)
    endpoint = desk.endpoint(receiver.url)
    with change(desk.scope):
        long_ago = wall_clock() - timedelta(days=5)
        WebhookEndpoint.objects.within(desk.scope).update(failing_since=long_ago)
    with dispatching():
        desk.emit()
        finished(desk)

    with reading(desk.scope):
        endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "failing")
    assert ProcrastinateJob.objects.filter(task_name="webhooks.mail_disabled").count() == 1


def test_one_success_ends_the_record_of_failures(desk: Desk, receiver: Receiver) -> None:
    endpoint = desk.endpoint(receiver.url)
    with change(desk.scope):
        WebhookEndpoint.objects.within(desk.scope).update(failing_since=wall_clock())
    with dispatching():
        desk.emit()
        finished(desk)

    with reading(desk.scope):
        endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_endpoint_that_hangs_delays_nobody(desk: Desk, globex_committed: Company, receiver: Receiver) -> None:
    rival = Desk(globex_committed)

    def time_twenty() -> float:
        started, before = time.monotonic(), len(receiver.calls)
        desk.emit(20)
        receiver.wait_for(lambda calls: len(calls) == before + 20)
        return time.monotonic() - started

    with Receiver(lambda _: Reply(hang=30)) as hanging:
        rival.endpoint(hanging.url)
        desk.endpoint(receiver.url)
        with dispatching(Limits(places=32, per_endpoint=4, per_tenant=16, grace_seconds=0)):
            calm = time_twenty()
            rival.emit(100)
            hanging.wait_for(lambda calls: len(calls) >= 4)
            took = time_twenty()

    assert took < 1 + 3 * calm
    assert len(hanging.calls) == 4


def test_endpoints_that_hang_do_not_use_up_their_tenants_share(desk: Desk, receiver: Receiver) -> None:
    with Receiver(lambda _: Reply(hang=30)) as hanging:
        for number in range(6):
            desk.endpoint(f"{hanging.url}/{number}", "customer.updated")
        desk.endpoint(receiver.url, "customer.created")
        with dispatching(Limits(places=16, per_endpoint=4, per_tenant=8, grace_seconds=0)):
            desk.emit(8, "customer.updated")
            hanging.wait_for(lambda calls: len(calls) >= 8)
            began = time.monotonic()
            desk.emit()
            receiver.wait_for(bool)
            took = time.monotonic() - began
            hanging.wait_for(lambda calls: len(calls) >= 12)

    assert took < 10  # about a second where nothing else runs; 30 without


def test_both_secrets_verify_while_one_rotates(desk: Desk, receiver: Receiver) -> None:
    old = desk.endpoint(receiver.url)
    with change(desk.scope):
        new = rotate_secret(desk.scope, old.pk)
    with dispatching():
        desk.emit()
        [during] = receiver.wait_for(bool)
        with change(desk.scope):
            ended = wall_clock() - timedelta(seconds=1)
            WebhookEndpoint.objects.within(desk.scope).update(previous_secret_until=ended)
        desk.emit()
        after = receiver.wait_for(lambda calls: len(calls) == 2)[1]

    for secret in (old.secret, new.secret):
        StandardWebhook(secret).verify(during.body, during.headers)
    StandardWebhook(new.secret).verify(after.body, after.headers)
    with pytest.raises(Exception, match="No matching signature"):
        StandardWebhook(old.secret).verify(after.body, after.headers)


def test_the_answer_is_kept_masked_and_sealed(desk: Desk, receiver: Receiver) -> None:
    endpoint = desk.endpoint(receiver.url)
    echoed = f"card 4242 4242 4242 4242, {endpoint.secret}, done".encode()
    receiver.answer = lambda _: Reply(500, echoed + b"x" * 5000)
    with dispatching():
        desk.emit()
        finished(desk)

    with reading(desk.scope):
        attempt = Attempt.objects.within(desk.scope).get()
        answer = attempt.answer
    assert answer.startswith("card **** **** **** ****, [masked], done")
    assert len(answer) == 1024
    assert (attempt.number, attempt.response_status, attempt.error) == (1, 500, "BAD_STATUS")


def test_an_erased_persons_event_is_never_sent(desk: Desk, receiver: Receiver) -> None:
    person = new_id()
    desk.endpoint(receiver.url)
    with change(desk.scope):
        emit(desk.scope, "customer.updated", {"email": "ada@example.com"}, subject=person)
    with change(desk.scope) as unit:
        unit.keys.destroy_subject(person)
    with dispatching():
        until(lambda: len(desk.deliveries(status="canceled")) == 1)

    assert receiver.calls == []
    assert desk.deliveries()[0].error == "EVENT_ERASED"


def test_what_waits_for_a_deleted_endpoint_is_canceled(desk: Desk, receiver: Receiver, acme_committed: Company) -> None:
    receiver.answer = lambda _: Reply(500)
    endpoint = desk.endpoint(receiver.url)
    with dispatching():
        desk.emit()
        finished(desk)
        assert Api(acme_committed.key).delete(f"/webhook-endpoints/{endpoint.public_id}").status_code == 204
        desk.make_due()
        until(lambda: desk.deliveries()[0].status == "canceled")

    assert len(receiver.calls) == 1


def test_two_dispatchers_send_each_event_once(desk: Desk, receiver: Receiver) -> None:
    desk.endpoint(receiver.url)
    with dispatching(), dispatching():
        desk.emit(200)
        until(lambda: len(desk.deliveries(status="delivered")) == 200)

    assert len(receiver.calls) == 200
    assert len({call.id for call in receiver.calls}) == 200


def test_stopping_gives_back_what_hangs(desk: Desk) -> None:
    with Receiver(lambda _: Reply(hang=20)) as hanging:
        desk.endpoint(hanging.url)
        with dispatching(Limits(grace_seconds=0.1)):
            desk.emit()
            hanging.wait_for(bool)

    [delivery] = desk.deliveries()
    assert (delivery.status, delivery.lease, delivery.attempts) == ("pending", None, 0)
    assert delivery.due_at <= wall_clock()


def test_a_lease_that_ran_out_is_taken_over(desk: Desk, receiver: Receiver) -> None:
    desk.endpoint(receiver.url)
    desk.emit()
    with dispatching():
        [delivery] = finished(desk)
    with change(desk.scope):
        row = Delivery.objects.within(desk.scope).filter(pk=delivery.pk)
        row.update(status="pending", lease=delivery.pk, due_at=wall_clock() - timedelta(seconds=1))
    with dispatching():
        until(lambda: len(receiver.calls) == 2)
        until(lambda: desk.deliveries()[0].status == "delivered")

    assert len({call.id for call in receiver.calls}) == 1
