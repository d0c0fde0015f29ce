"""What the plain view and the bare server ask of PostgreSQL: the same, so that they differ in Python alone."""

CHECK = """
select g."limit" from peers_key k
join peers_customer c on c.company_id = k.company_id and c.reference = %s
join peers_subscription s on s.customer_id = c.id and s.status = 'active'
join peers_feature f on f.company_id = k.company_id and f.name = %s
join peers_grant g on g.plan_id = s.plan_id and g.feature_id = f.id
where k.digest = %s and not k.revoked
"""
TRACK = "select peers_track(%s, %s, %s, %s, %s)"
# Exactly once and never past the limit, durable when it returns: the event guards the counter.
TRACK_FUNCTION = """
create or replace function peers_track(p_digest bytea, p_customer text, p_feature text, p_quantity bigint,
  p_key text) returns bigint language plpgsql as $$
declare
  e record;
  total bigint;
begin
  select c.id as customer, f.id as feature, g."limit" as allowed, s.period_start into e from peers_key k
  join peers_customer c on c.company_id = k.company_id and c.reference = p_customer
  join peers_subscription s on s.customer_id = c.id and s.status = 'active'
  join peers_feature f on f.company_id = k.company_id and f.name = p_feature
  join peers_grant g on g.plan_id = s.plan_id and g.feature_id = f.id
  where k.digest = p_digest and not k.revoked;
  if not found then return null; end if;
  insert into peers_event (customer_id, feature_id, key, quantity, created_at)
  values (e.customer, e.feature, p_key, p_quantity, clock_timestamp()) on conflict do nothing;
  if not found then return 0; end if;
  insert into peers_counter as c (customer_id, feature_id, period_start, used)
  values (e.customer, e.feature, e.period_start, p_quantity)
  on conflict (customer_id, feature_id, period_start) do update set used = c.used + excluded.used
  where e.allowed is null or c.used + excluded.used <= e.allowed returning used into total;
  if not found then raise exception 'over the limit'; end if;
  return total;
end $$;
"""
