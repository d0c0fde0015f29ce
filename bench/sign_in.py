"""Sessions verified, links asked for and links redeemed, beside better-auth and what DRF offers.

    python3 -m bench.sign_in [--rounds 3] [--seconds 4] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on), all servers on it, and takes all away at the end. See
docs/performance.md for what is measured and what is not.
"""

from __future__ import annotations

from bench import rounds

OPERATIONS = ("session", "issue", "redeem")
WHOLE = "issue + redeem"
RATIOS = (
    ("CPU / better-auth", "better-auth", "cpu_us", 2),
    ("req/s / better-auth", "better-auth", "per_second", 2),
    ("req/s / drf-jwt", "drf-jwt", "per_second", 2),
)


def main():
    """Measure, print, keep."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--tenants", type=int, default=20, help="each with an app and a key of its own")
    parser.add_argument("--sessions", type=int, default=1000, help="signed in at a time")
    parser.add_argument("--redeemed", type=int, default=400, help="links in a round")
    asked = parser.parse_args()
    rounds.enter("bench.sign_in")
    from bench.sign_in_stand import sign_in  # noqa: PLC0415  # it needs the packages of the environment

    rounds.run("sign-in", asked, OPERATIONS, sign_in, table)


def table(rows):
    """Return the medians as a Markdown table, with the ratios to what they are measured beside."""
    return rounds.ratio_table([*rows, *whole(rows)], [*OPERATIONS, WHOLE], RATIOS)


def whole(rows):
    """Return what one sign-in costs: a link issued and redeemed, one after the other, in the same round."""
    by = {(row["round"], row["server"], row["operation"]): row for row in rows}
    found = []
    for (number, server, operation), redeemed in by.items():
        issued = by.get((number, server, "issue"))
        if operation == "redeem" and issued:
            both = {figure: issued[figure] + redeemed[figure] for figure in rounds.MEASURED[1:]}
            both["per_second"] = 1 / (1 / issued["per_second"] + 1 / redeemed["per_second"])
            found.append({"round": number, "server": server, "operation": WHOLE, **both})
    return found


if __name__ == "__main__":
    main()
