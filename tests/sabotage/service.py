"""What keeps money, limits, ciphertexts and the deployment right (checks 8 to 10, 25, 26, 28 to 30)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

IDEMPOTENCY = "stackbe/kernel/idempotency.py"
INBOX = "billing/stripe/inbox.py"
GATEWAY = "billing/stripe/gateway.py"
SETTINGS = "stackbe/settings.py"

REPEATED = [
    Sabotage(
        "claims-not-taken",
        8,
        "an Idempotency-Key is claimed before anything happens",
        (
            "kernel/test_idempotency.py::test_thirty_two_racers_have_one_effect_and_get_the_same_bytes",
            "kernel/test_idempotency.py::test_a_cut_reply_is_given_again",
        ),
        (
            Edit(
                "stackbe/kernel/api.py",
                "if self.claim and (replay := self.claim.take()):",
                "if self.claim and (replay := None):",
            ),
        ),
    ),
    Sabotage(
        "another-request-under-the-key",
        8,
        "another body under the same key is refused",
        ("kernel/test_idempotency.py::test_another_body_or_path_under_the_key_is_refused",),
        (
            Edit(
                IDEMPOTENCY,
                "        if not crypto.equal(bytes(record.request_digest), self._digest):\n",
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "key-shared-between-apps",
        8,
        "a key of one app is not another's",
        ("kernel/test_idempotency.py::test_an_app_named_by_a_tenant_key_is_independent_of_the_next",),
        (Edit(IDEMPOTENCY, 'f"idempotency-lookup|{scope.app_id}"', '"idempotency-lookup"'),),
    ),
    Sabotage(
        "lease-not-respected",
        8,
        "while the first request runs, a second one waits",
        ("kernel/test_idempotency.py::test_while_a_leased_request_runs_racers_are_told_to_wait",),
        (
            Edit(
                IDEMPOTENCY,
                "        if record.leased_until is not None and record.leased_until > moment:\n",
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "event-claimed-twice",
        9,
        "an event of Stripe's is claimed once",
        ("stripe/test_inbox.py::test_the_same_event_twice_is_one_row_and_one_job",),
        (
            Edit(
                INBOX,
                "        if not StripeEvent.objects.within(scope).filter(pk=row.pk).exists():\n            return False\n",
                "",
            ),
        ),
    ),
    Sabotage(
        "older-facts-win",
        9,
        "an older look at Stripe changes nothing",
        ("stripe/test_sync.py::test_what_was_fetched_under_a_lost_lease_is_not_recorded",),
        (
            Edit(
                "billing/stripe/lease.py",
                "        if found is None or found.token != self.token:\n",
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "lost-event-acknowledged",
        9,
        "an event that cannot be kept is not acknowledged",
        ("stripe/test_inbox.py::test_with_the_database_down_stripe_is_asked_to_come_back",),
        (
            Edit(
                INBOX,
                "    outcome = _take(_read(body), connect=connect)\n",
                "    try:\n        outcome = _take(_read(body), connect=connect)\n"
                '    except DatabaseError:\n        outcome = "queued"\n',
            ),
        ),
    ),
    Sabotage(
        "signature-unread",
        10,
        "Stripe's signature is verified over the raw bytes",
        ("stripe/test_inbox.py::test_a_forged_event_is_refused_and_writes_nothing",),
        (Edit(INBOX, "        gateway.verify_signature(body, signature, secrets)\n", "        pass\n"),),
    ),
    Sabotage(
        "future-events-pass",
        10,
        "an event dated ahead of us is refused too",
        ("stripe/test_inbox.py::test_a_forged_event_is_refused_and_writes_nothing",),
        (Edit(GATEWAY, "abs(moment - signed_at) > TOLERANCE_SECONDS:", "moment - signed_at > TOLERANCE_SECONDS:"),),
    ),
    Sabotage(
        "forgeries-uncounted",
        10,
        "forged events are counted by address",
        ("stripe/test_inbox.py::test_forgeries_are_counted_and_then_turned_away",),
        (Edit(INBOX, "        _count_forgery(network)\n", ""),),
    ),
]
LIMITED = [
    Sabotage(
        "fixed-windows",
        25,
        "the sub-windows of the last minute are counted whole",
        ("kernel/test_limits.py::test_no_stretch_of_60_seconds_passes_more_than_the_limit",),
        sql="""create or replace function kernel_total(counts integer[]) returns bigint language sql immutable
          as $$ select coalesce(sum(c), 0)::bigint from unnest(counts[1:10]) as c $$""",
    ),
    Sabotage(
        "counted-after-reading",
        25,
        "a bucket is moved by one statement",
        ("kernel/test_limits.py::test_racers_from_many_connections_pass_the_limit_exactly",),
        sql="""create or replace function kernel_take(bucket text, at_ms bigint, allowed integer, cost integer,
            window_ms integer, out ok boolean, out remaining integer, out reset_ms bigint) language plpgsql as $$
          declare seen bigint; begin
            select total into seen from kernel_ratebucket where key = bucket;
            seen := coalesce(seen, 0); perform pg_sleep(0.001);
            ok := seen + cost <= allowed; remaining := greatest(0, allowed - seen - cost); reset_ms := at_ms;
            if ok then insert into kernel_ratebucket (key, slot, counts, total, oldest)
              values (bucket, 0, array_fill(0, array[21]), seen + cost, 0)
              on conflict (key) do update set total = seen + cost; end if;
          end $$""",
    ),
    Sabotage(
        "forwarding-header-believed",
        25,
        "a caller's own X-Forwarded-For is not believed",
        ("apikeys/test_authentication.py::test_a_forged_forwarding_header_does_not_shed_the_limit",),
        (
            Edit(
                "stackbe/kernel/http.py",
                "    hops = settings.TRUSTED_PROXIES\n",
                "    hops = settings.TRUSTED_PROXIES or 1\n",
            ),
        ),
    ),
    Sabotage(
        "keys-unlimited",
        25,
        "each key has its limit",
        ("apikeys/test_authentication.py::test_past_its_limit_a_key_has_to_wait_and_others_do_not",),
        (Edit("stackbe/kernel/api.py", "        if not self._allowance.ok:\n", "        if False:\n"),),
    ),
    Sabotage(
        "rotation-begins-anew",
        26,
        "a rotation that is taken up leaves keys alone that are young",
        ("trust/test_rotate_keys.py::test_a_run_that_was_killed_is_taken_up_where_it_stood",),
        (
            Edit(
                "stackbe/trust/services/rotation/keys.py",
                "        if newest is None or newest.created_at >= moment:\n",
                "        if newest is None:\n",
            ),
        ),
    ),
    Sabotage(
        "rotation-orphans-api-keys",
        26,
        "an API key goes on working when its tenant's pepper is replaced",
        ("trust/test_rotate_keys.py::test_a_key_of_before_goes_on_working_and_is_hashed_anew_when_it_is_used",),
        (
            Edit(
                "stackbe/trust/services/rotation/peppers.py",
                "        if kind == PEPPER:\n",
                "        if not kind:\n",
            ),
        ),
    ),
    Sabotage(
        "rotation-passes-over-broken-values",
        26,
        "a rotation names a value that was changed or moved",
        ("trust/test_rotate_keys.py::test_a_value_that_was_changed_or_moved_is_named_and_the_rest_goes_on",),
        (
            Edit(
                "stackbe/trust/services/rotation/values.py",
                "                    faults.append(f",
                "                    list[str]().append(f",
            ),
        ),
    ),
    Sabotage(
        "ciphertext-moved",
        26,
        "a sealed value is bound to its table, column and row",
        (
            "kernel/test_sealed_fields.py::test_a_ciphertext_moved_to_another_row_is_an_error",
            "kernel/test_sealed_fields.py::test_a_ciphertext_moved_to_another_column_is_an_error",
        ),
        (
            Edit(
                "stackbe/kernel/fields.py",
                '        return f"{self.model._meta.db_table}.{self.column}|{pk}"\n',
                '        return "anything"\n',
            ),
        ),
    ),
    Sabotage(
        "ciphertext-flipped",
        26,
        "a changed ciphertext is an error",
        ("kernel/test_crypto.py::test_every_flipped_bit_is_noticed",),
        (
            Edit(
                "stackbe/kernel/crypto.py",
                "    except (InvalidTag, ValueError) as broken:\n        raise SealBroken(context) from broken\n",
                "    except (InvalidTag, ValueError):\n        return rest[NONCE_BYTES:]\n",
            ),
        ),
    ),
    Sabotage(
        "key-of-another-tenant",
        26,
        "another tenant's key is out of reach, and refused where it is not",
        ("kernel/test_crypto.py::test_a_rival_cannot_reach_a_key_by_its_id",),
        (Edit("stackbe/kernel/crypto.py", "        if tenant_id not in {owner, PLATFORM}:\n", "        if False:\n"),),
        sql="create policy open_gate on kernel_subjectkey for select using (true);"
        " create policy open_gate on kernel_tenantkey for select using (true)",
    ),
]
OPEN = [
    Sabotage(
        "crash-answers-500",
        28,
        "whatever is sent gets a documented answer",
        ("security/test_generated.py::test_hundreds_of_generated_calls_get_documented_answers",),
        (
            Edit(
                "stackbe/kernel/paging.py",
                "    except (ValueError, binascii.Error):\n",
                "    except binascii.Error:\n",
            ),
        ),
    ),
    Sabotage(
        "any-origin",
        29,
        "an answer is read from the credential's own app's origins alone",
        (
            "accounts/test_cors.py::test_hostile_origins_are_told_nothing",
            "accounts/test_cors.py::test_an_answer_may_be_read_only_where_the_credentials_app_registers_the_origin",
        ),
        (
            Edit(
                "accounts/cors.py",
                "    return app is not None and not app.closed and origin in app.settings.allowed_origins\n",
                "    return app is not None\n",
            ),
        ),
    ),
    Sabotage(
        "origin-not-varied",
        29,
        "every answer varies by origin",
        ("accounts/test_cors.py::test_every_answer_varies_by_origin",),
        (Edit("accounts/cors.py", '        patch_vary_headers(response, ("origin",))\n', ""),),
    ),
    Sabotage(
        "secret-key-in-a-browser",
        29,
        "a secret key that comes from a browser is refused",
        ("apikeys/test_authentication.py::test_a_secret_key_from_a_browser_is_refused",),
        (
            Edit(
                "apikeys/authentication.py",
                '        if found.kind == "secret" and request.META.get("HTTP_ORIGIN"):\n',
                "        if False:\n",
            ),
        ),
    ),
    Sabotage(
        "default-secret",
        30,
        "no secret has a default",
        ("kernel/test_settings.py::test_production_refuses_to_start_with",),
        (
            Edit(
                SETTINGS,
                'SECRET_KEY = required("SECRET_KEY", _MAKE_ONE)',
                'SECRET_KEY = env.str("SECRET_KEY", default="x" * 50)',
            ),
        ),
    ),
    Sabotage(
        "plain-http-in-production",
        30,
        "production is served over https",
        ("kernel/test_settings.py::test_production_refuses_to_start_with",),
        (Edit(SETTINGS, 'if PRODUCTION and not BASE_URL.startswith("https://"):', "if False:"),),
    ),
    Sabotage(
        "any-host",
        30,
        "hosts are named",
        ("kernel/test_settings.py::test_production_refuses_to_start_with",),
        (Edit(SETTINGS, 'if "*" in ALLOWED_HOSTS:', "if False:"),),
    ),
    Sabotage(
        "nobody-speaks-tls",
        30,
        "production does not start where nobody speaks TLS",
        ("kernel/test_settings.py::test_production_refuses_to_start_with",),
        (Edit(SETTINGS, 'elif PRODUCTION and STACKBE_ROLE == "web" and not TRUSTED_PROXIES:', "elif False:"),),
    ),
    Sabotage(
        "credentials-redirected",
        30,
        "over plain http a credential is refused, not redirected",
        ("security/test_edges.py::test_over_plain_http_pages_lead_to_https_and_nothing_else_does",),
        (
            Edit(
                "stackbe/kernel/middleware.py",
                '        if credential or is_api(request.path) or request.path.startswith("/webhooks/"):\n',
                '        if is_api(request.path) or request.path.startswith("/webhooks/"):\n',
            ),
        ),
    ),
]
SABOTAGES = [*REPEATED, *LIMITED, *OPEN]
