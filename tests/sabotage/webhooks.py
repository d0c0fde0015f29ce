"""Where webhooks go, that they arrive, and by what they are known (checks 12, 16, 17)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

ADDRESSES = "webhooks/addresses.py"
SENDING = "webhooks/sending.py"
WIRE = "webhooks/wire.py"
DOOR = "            judged = judge_address(str(destination[0]), allow_local=self.allow_local)\n"
DOOR_OPEN = "            judged = str(destination[0])\n"

REACHED = [
    Sabotage(
        "addresses-unjudged",
        12,
        "every address of a name is judged before it is connected to",
        (
            "security/test_ssrf.py::test_a_name_that_resolves_to_a_hostile_address_is_not_connected_to",
            "security/test_ssrf.py::test_one_bad_address_among_good_ones_refuses_all",
        ),
        (
            Edit(
                SENDING,
                "        judged = judge_addresses(found, allow_local=self._allow_local)\n",
                "        judged = list(found)\n",
            ),
            Edit(WIRE, DOOR, DOOR_OPEN),
        ),
    ),
    Sabotage(
        "one-good-address-is-enough",
        12,
        "one bad address among good ones refuses all",
        ("security/test_ssrf.py::test_one_bad_address_among_good_ones_refuses_all",),
        (
            Edit(
                ADDRESSES,
                "    judged = [judge_address(address, allow_local=allow_local) for address in addresses]\n",
                "    judged = addresses if not all(map(refusal_of, map(_parse_address, addresses))) else [\n"
                "        judge_address(address, allow_local=allow_local) for address in addresses\n    ]\n",
            ),
            Edit(WIRE, DOOR, DOOR_OPEN),
        ),
    ),
    Sabotage(
        "last-door-open",
        12,
        "an address is judged once more where the connection starts",
        ("security/test_ssrf.py::test_the_last_door_holds_when_the_resolver_lets_everything_through",),
        (Edit(WIRE, DOOR, DOOR_OPEN),),
    ),
    Sabotage(
        "any-public-address-will-do",
        12,
        "a connection goes to an address that its name was resolved to",
        ("webhooks/test_sending.py::test_a_connection_goes_to_no_address_but_those_of_the_look_up",),
        (Edit(WIRE, "            if judged not in self.pinned.addresses:\n", "            if False:\n"),),
    ),
    Sabotage(
        "name-looked-up-again",
        12,
        "a name is resolved once, by the look-up whose answer is judged",
        ("security/test_ssrf.py::test_a_name_is_resolved_once_and_connected_to_where_it_was_judged",),
        (Edit(WIRE, "        handle.setopt(pycurl.RESOLVE, pinned.answers)\n", ""),),
    ),
    Sabotage(
        "redirects-followed",
        12,
        "a receiver's redirect is not followed",
        ("security/test_ssrf.py::test_a_redirect_to_loopback_goes_nowhere",),
        (Edit(WIRE, "handle.setopt(pycurl.FOLLOWLOCATION, 0)", "handle.setopt(pycurl.FOLLOWLOCATION, 1)"),),
    ),
    Sabotage(
        "global-is-good-enough",
        12,
        "addresses are judged by our own list of special blocks",
        ("security/test_ssrf.py::test_no_hostile_address_is_judged_public",),
        (
            Edit(
                ADDRESSES,
                "    if isinstance(address, IPv4Address):\n        return next(",
                '    if address.is_global:\n        return ""\n    if isinstance(address, IPv4Address):\n        return next(',
            ),
        ),
    ),
    Sabotage(
        "hostile-urls-stored",
        12,
        "a URL is judged when it is stored",
        ("security/test_ssrf.py::test_the_api_refuses_hostile_urls_by_field",),
        (
            Edit(
                "webhooks/services/endpoints.py",
                "        return judge_url(url, live=live, allow_local=settings.ALLOW_LOCAL_WEBHOOKS).url\n",
                "        return url\n",
            ),
        ),
    ),
]
DELIVERED = [
    Sabotage(
        "delivery-claimed-twice",
        16,
        "a delivery is claimed by one dispatcher",
        ("webhooks/test_claim.py::test_a_claim_is_not_claimed_again_before_its_lease_ends",),
        (Edit("webhooks/dispatch/queue.py", "set due_at = %(leased_until)s, lease", "set lease"),),
    ),
    Sabotage(
        "another-id-on-each-try",
        16,
        "a repeated delivery has the id of the first",
        ("webhooks/test_deliver.py::test_anything_but_2xx_is_tried_again_under_the_same_id",),
        (
            Edit(
                "webhooks/dispatch/opening.py",
                "Parcel(claimed, letter.public_id,",
                'Parcel(claimed, f"{letter.public_id}{claimed.attempts}",',
            ),
        ),
    ),
    Sabotage(
        "any-answer-acknowledges",
        16,
        "2xx alone acknowledges a delivery",
        ("webhooks/test_deliver.py::test_anything_but_2xx_is_tried_again_under_the_same_id",),
        (Edit("webhooks/schedule.py", "_SUCCESS = range(200, 300)", "_SUCCESS = range(100, 600)"),),
    ),
    Sabotage(
        "old-secret-dropped-at-once",
        17,
        "both secrets sign while one rotates out",
        ("webhooks/test_manage_endpoints.py::test_rotating_keeps_the_old_secret_signing_for_a_day",),
        (Edit("webhooks/models.py", "SECRET_OVERLAP = timedelta(hours=24)", "SECRET_OVERLAP = timedelta(0)"),),
    ),
    Sabotage(
        "old-secret-for-ever",
        17,
        "after the overlap the old secret signs no more",
        ("webhooks/test_manage_endpoints.py::test_rotating_keeps_the_old_secret_signing_for_a_day",),
        (
            Edit("webhooks/models.py", "        if last is None or at >= last:\n", "        if last is None:\n"),
            Edit("webhooks/models.py", "for moment, secret in parsed if at < moment]", "for moment, secret in parsed]"),
        ),
    ),
]
SABOTAGES = [*REACHED, *DELIVERED]
