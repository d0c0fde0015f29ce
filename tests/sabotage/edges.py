"""What stands at the edges of every URL: headers, limits by address, whom a proxy names (checks 25 and 30)."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

HEADERS = "stackbe/kernel/headers.py"
PROXIES = "stackbe/kernel/proxies.py"
VISITORS = "stackbe/kernel/visitors.py"
EVERY_PAGE = "security/test_edges.py::test_every_page_has_its_headers_and_a_limit"
EVERY_CALL = "security/test_edges.py::test_every_call_of_the_api_has_its_headers_and_a_limit"
BESIDE = "security/test_edges.py::test_what_is_answered_beside_the_pages_has_its_headers_too"
PLAIN_HTTP = "security/test_edges.py::test_over_plain_http_pages_lead_to_https_and_nothing_else_does"
INBOXES = (
    "security/test_edges.py::test_a_forged_event_and_a_wrong_address_of_an_inbox_are_counted_and_a_proven_one_is_not"
)
WITHOUT_DATABASE = "security/test_edges.py::test_without_the_database_a_process_counts_for_itself"
OWN_MEMORY = "kernel/test_proxies.py::test_in_its_own_memory_a_process_counts_as_the_shared_limiter_does"
ONLY_SO_MUCH = "kernel/test_proxies.py::test_of_its_own_memory_a_process_takes_only_so_much"
CALLER = "kernel/test_proxies.py::test_the_caller_is_whom_the_outermost_of_our_proxies_names"
DROPPED = "kernel/test_proxies.py::test_what_others_forward_is_dropped_before_anything_reads_it"
START = "kernel/test_settings.py::test_production_refuses_to_start_with"

BELIEVED = [
    Sabotage(
        "anybody-is-a-proxy",
        25,
        "only proxies of the deployment forward addresses",
        (CALLER, DROPPED),
        (
            Edit(
                PROXIES,
                '    return text == "" or _among(text, tuple(settings.TRUSTED_PROXY_ADDRESSES) or INTERNAL)\n',
                "    return True\n",
            ),
        ),
    ),
    Sabotage(
        "named-proxies-not-looked-at",
        25,
        "where a deployment names its proxies, its neighbours are none",
        (CALLER,),
        (Edit(PROXIES, "tuple(settings.TRUSTED_PROXY_ADDRESSES) or INTERNAL", "INTERNAL"),),
    ),
    Sabotage(
        "what-the-caller-wrote-first",
        25,
        "of what was forwarded no more is read than our proxies wrote",
        (CALLER,),
        (Edit(PROXIES, "entries[: -proxies - 1 : -1]", "entries[::-1]"),),
    ),
    Sabotage(
        "past-the-cdn",
        25,
        "who comes past a CDN that is named is nobody's proxy",
        (CALLER,),
        (Edit(PROXIES, "if (named or not depth) and not is_proxy(peer):", "if not depth and not is_proxy(peer):"),),
    ),
    Sabotage(
        "foreign-headers-stay",
        25,
        "what others than our proxies forward reaches nothing",
        (DROPPED,),
        (Edit(PROXIES, "                environ.pop(name, None)\n", "                environ.get(name)\n"),),
    ),
    Sabotage(
        "proxies-named-but-not-counted",
        30,
        "proxies that are named are counted too, or production does not start",
        (START,),
        (Edit("stackbe/settings.py", "elif TRUSTED_PROXY_ADDRESSES:\n", "elif False:\n"),),
    ),
]
COUNTED = [
    Sabotage(
        "pages-unlimited",
        25,
        "each page has its limit",
        (EVERY_PAGE, WITHOUT_DATABASE),
        (Edit(VISITORS, "        if not allowance.ok:\n", "        if False:\n"),),
    ),
    Sabotage(
        "forgers-unlimited",
        25,
        "who forges what another service sends is cut off",
        (INBOXES,),
        (Edit(VISITORS, "        if not REFUSED <= response.status_code < FAILED:\n", "        if True:\n"),),
    ),
    Sabotage(
        "own-memory-counts-nothing",
        25,
        "without the database a process counts for itself, as exactly",
        (WITHOUT_DATABASE, OWN_MEMORY),
        (Edit(VISITORS, "            ok = used < limit\n", "            ok = True\n"),),
    ),
    Sabotage(
        "own-memory-forgets-early",
        25,
        "what a process counts by itself counts for a whole minute",
        (OWN_MEMORY,),
        (Edit(VISITORS, "if slot >= here - limits.SUBWINDOWS}", "if slot >= here - limits.SUBWINDOWS // 2}"),),
    ),
    Sabotage(
        "own-memory-without-end",
        25,
        "strangers cannot fill a process's memory",
        (ONLY_SO_MUCH,),
        (Edit(VISITORS, "            if len(self._buckets) > self.most:\n", "            if False:\n"),),
    ),
]
TOLD = [
    Sabotage(
        "bare-answers",
        30,
        "every answer carries the headers that browsers go by",
        (EVERY_PAGE, EVERY_CALL, BESIDE),
        (
            Edit(
                HEADERS,
                "        for name, value in self.standing.items():\n",
                "        for name, value in {}.items():\n",
            ),
        ),
    ),
    Sabotage(
        "framed-by-anybody",
        30,
        "what is no document is framed by nobody",
        (EVERY_CALL, BESIDE),
        (Edit(HEADERS, "form-action 'none'; frame-ancestors 'none'\"", "form-action 'none'\""),),
    ),
    Sabotage(
        "pages-share-their-process",
        30,
        "pages share their process with nothing of elsewhere",
        (EVERY_PAGE,),
        (
            Edit(
                HEADERS,
                '            response.headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")\n',
                "",
            ),
        ),
    ),
    Sabotage(
        "strict-transport-over-plain-http",
        30,
        "over plain http nothing is said of https to come",
        (PLAIN_HTTP,),
        (Edit(HEADERS, "            if name != STRICT_TRANSPORT or request.is_secure():", "            if True:"),),
    ),
]
SABOTAGES = [*BELIEVED, *COUNTED, *TOLD]
