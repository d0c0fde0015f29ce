"""What `bench.sign_in` measures: our sign-in, better-auth's, and DRF's two ways of knowing a caller."""

import json
from contextlib import contextmanager

from bench import rounds
from bench.peers import node
from bench.stand import Contender, Stand, analyze, database_in, make_peers_databases, run
from stackbe.runner import roles

OURS = ("stackbe", "stackbe-unlogged")


class SignIn(Stand):
    """The stand, which also counts what was stored: an answer of 200 is no proof that a link was."""

    minted = ""

    def at_the_end(self):
        """Say what the worker's half of a link costs; stop where a link that was asked for is missing."""
        return {"worker": self.minted}

    def load(self, name, operation, seconds, least=100):
        """Load one server, and see that each link asked of ours was stored."""
        counted = operation == "issue" and name in OURS
        before = self._links() if counted else 0
        told = super().load(name, operation, seconds, least)
        if counted and self._links() - before != told["requests"]:
            raise SystemExit(f"{name}: {told['requests']} links asked for, {self._links() - before} stored")
        return told

    def _links(self):
        with roles.connect(self.database.url("postgres")) as connection:
            return connection.execute("select count(*) from accounts_magiclink").fetchone()[0]


@contextmanager
def sign_in(folder, asked):
    """Stand up what `bench.sign_in` measures."""
    with database_in(folder, SignIn) as stand:
        _stand_up(stand, asked)
        yield stand


def _stand_up(stand, sizes):
    ours, peers = stand.ours, stand.peers
    make_peers_databases(stand.database)
    each = (sizes.redeemed + rounds.AT_ONCE.connections) * (sizes.rounds + 1)
    seeded = ["-m", "bench.seed_sign_in", str(sizes.tenants), str(sizes.sessions), str(each * len(OURS))]
    made = json.loads(run([*seeded, str(stand.postmaster)], ours))
    analyze(stand.database)
    stand.minted = (
        f"The worker's half of a link (mint, write the mail, note that it went; no mail server, no queue):"
        f" {made['mint_us']:.0f} µs, of them {made['mint_postgres_us']:.0f} in PostgreSQL."
    )
    for place, name in enumerate(OURS):
        server = stand.django(name, "stackbe.wsgi", ours | {"LOG_REQUESTS": str(1 - place)})
        links = made["redeem"][place * each : (place + 1) * each]
        asked = {"session": made["session"], "issue": made["issue"], "redeem": links}
        stand.contenders[name] = Contender(server, asked, rounds.PROXIED, once={"redeem": sizes.redeemed})
    people = json.loads(run(["-m", "bench.peers.seed_sign_in", str(sizes.sessions)], peers | {"PEER": "drf"}))
    drf = stand.django("drf", "bench.peers.wsgi", peers | {"PEER": "drf"})
    for scheme, word in (("token", "Token"), ("jwt", "Bearer")):
        headers = [{"Authorization": f"{word} {text}"} for text in people[scheme]]
        asked = [{"path": f"/v1/session/{scheme}", "headers": each} for each in headers]
        stand.contenders[f"drf-{scheme}"] = Contender(drf, {"session": asked})
    try:
        program = node.installed()
    except node.NotRun as reason:
        stand.not_run.append(f"better-auth: {reason}")
    else:
        _better_auth(stand, program, peers, sizes, each)
    for server in stand.servers:
        server.wait()


def _better_auth(stand, program, peers, sizes, links):
    with_mail = peers | {"KEEP_MAIL": "1"}
    made = node.seeded(program, with_mail, sizes.tenants, sizes.sessions, 2 * links)
    server = stand.start("better-auth", [program, str(node.FOLDER / "server.mjs")], peers)
    redeemed = [
        {"method": "GET", "path": f"/api/auth/magic-link/verify?token={token}", "body": None}
        for token in made["tokens"]
    ]

    def its(path):
        return [{"path": path, "headers": {"Cookie": cookie}} for cookie in made["cookies"]]

    issued = [{"path": "/api/auth/sign-in/magic-link", "headers": {}}]
    for place, suffix in enumerate(("", "-kept")):
        asked = {
            "session": its("/api/auth/get-session"),
            "issue": issued,
            "redeem": redeemed[place * links : (place + 1) * links],
        }
        stand.contenders[f"better-auth{suffix}"] = Contender(
            server, asked, kept=bool(place), once={"redeem": sizes.redeemed}
        )
        # What a route of one's own costs that asks `auth.api.getSession` and answers itself.
        stand.contenders[f"better-auth-api{suffix}"] = Contender(
            server, {"session": its("/v1/session")}, kept=bool(place)
        )
