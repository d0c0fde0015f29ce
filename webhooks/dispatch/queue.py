"""The queue of deliveries: claiming what is due.

A claim is a lease and not a lock: it moves `due_at` a minute ahead and writes a token, so a
dispatcher that is killed loses nothing and blocks nobody; the delivery is due again after the
lease, under the same event id.

Fairness is in the claim. Deliveries wait in one lane for each endpoint (an index on endpoint and
due time); a claim takes a few from every lane with room, tenant after tenant in random order, and at most
a share of the places for any one of them. So however much waits for an endpoint that hangs, the next lane's
first delivery is found at once. Of an endpoint that asked for order only the first in the order of
events is ever taken, once it is due: what comes after it waits until it is delivered or given up.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection

from stackbe.kernel.arrays import array
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

LEASE = timedelta(seconds=60)

CLAIM = """
with recursive loose as (
  (select tenant_id, endpoint_id from webhooks_delivery
   where status = 'pending' and not ordered order by endpoint_id limit 1)
  union all
  select next.tenant_id, next.endpoint_id from loose cross join lateral (
    select d.tenant_id, d.endpoint_id from webhooks_delivery d
    where d.status = 'pending' and not d.ordered and d.endpoint_id > loose.endpoint_id
    order by d.endpoint_id limit 1
  ) as next
), strict as (
  (select tenant_id, endpoint_id, id, due_at from webhooks_delivery
   where status = 'pending' and ordered order by endpoint_id, event_id, id limit 1)
  union all
  select next.tenant_id, next.endpoint_id, next.id, next.due_at from strict cross join lateral (
    select d.tenant_id, d.endpoint_id, d.id, d.due_at from webhooks_delivery d
    where d.status = 'pending' and d.ordered and d.endpoint_id > strict.endpoint_id
    order by d.endpoint_id, d.event_id, d.id limit 1
  ) as next
), lane as (
  select tenant_id, endpoint_id, null::uuid as head, %(per_endpoint)s as most from loose
  where exists (select from webhooks_delivery d where d.status = 'pending' and not d.ordered
    and d.endpoint_id = loose.endpoint_id and d.due_at <= %(now)s)
  union all
  select tenant_id, endpoint_id, id, 1 from strict where due_at <= %(now)s
), open_lane as materialized (
  select endpoint_id, head, room, turn from (
    select lane.endpoint_id, head,
      row_number() over (order by uuid_hash_extended(lane.tenant_id, %(seed)s), dice.value) as turn,
      least(most, %(per_endpoint)s - coalesce(e.taken, 0)) as room,
      sum(most) over (partition by lane.tenant_id order by dice.value)
        <= %(per_tenant)s - coalesce(t.taken, 0) as within_share
    from lane cross join lateral (select random() as value where lane.endpoint_id is not null) as dice
    left join unnest(%(endpoints)s::uuid[], %(endpoint_counts)s::int[]) as e(id, taken)
      on e.id = lane.endpoint_id
    left join unnest(%(tenants)s::uuid[], %(tenant_counts)s::int[]) as t(id, taken)
      on t.id = lane.tenant_id
    where coalesce(e.taken, 0) < %(per_endpoint)s
  ) as ranked where within_share order by turn
), loose_due as (
  select d.id, open_lane.turn from open_lane cross join lateral (
    select id from webhooks_delivery
    where open_lane.head is null and status = 'pending' and not ordered
      and endpoint_id = open_lane.endpoint_id and due_at <= %(now)s
    order by due_at limit open_lane.room for update skip locked
  ) as d limit %(places)s
), strict_due as (
  select d.id, open_lane.turn from open_lane cross join lateral (
    select id from webhooks_delivery
    where id = open_lane.head and status = 'pending' and due_at <= %(now)s for update skip locked
  ) as d limit %(places)s
), due as (
  select id from (select * from loose_due union all select * from strict_due) as both_kinds
  order by turn limit %(places)s
)
update webhooks_delivery set due_at = %(leased_until)s, lease = %(lease)s
where id in (select id from due)
returning id, tenant_id, app_id, endpoint_id, event_id, attempts, ordered, lease
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until the lease ends."""

    id: UUID
    tenant_id: UUID
    app_id: UUID
    endpoint_id: UUID
    event_id: UUID
    attempts: int
    ordered: bool
    lease: UUID


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """A claimed delivery, opened: what to send where. It has no repr: it belongs in no log."""

    claim: Claimed
    message_id: str
    subject_id: UUID | None
    url: str
    secrets: tuple[str, ...]
    body: bytes
    live: bool


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A claimed delivery that must not or cannot be sent, and why."""

    claim: Claimed
    reason: str


@dataclass(frozen=True, slots=True)
class Room:
    """How much one dispatcher may have under way, in all and per endpoint and tenant."""

    places: int
    per_endpoint: int
    per_tenant: int


def claim(
    room: Room,
    endpoints: Mapping[UUID, int],
    tenants: Mapping[UUID, int],
    *,
    lease: timedelta = LEASE,
) -> list[Claimed]:
    """Lease deliveries that are due; `endpoints` and `tenants` count what is already under way."""
    moment = wall_clock()
    with connection.cursor() as cursor:
        cursor.execute(
            CLAIM,
            {
                "now": moment,
                "leased_until": moment + lease,
                "lease": new_id(),
                "seed": secrets.randbits(63),
                "places": room.places,
                "per_endpoint": room.per_endpoint,
                "per_tenant": room.per_tenant,
                "endpoints": array(endpoints),
                "endpoint_counts": array(endpoints.values()),
                "tenants": array(tenants),
                "tenant_counts": array(tenants.values()),
            },
        )
        return [Claimed(*row) for row in cursor.fetchall()]
