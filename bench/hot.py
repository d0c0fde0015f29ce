"""Requests per second and CPU per request of the two hot routes, beside what one would write instead.

    python3 -m bench.hot [--rounds 3] [--seconds 4] [--note "quiet machine"]

It makes a PostgreSQL of its own (fsync on), all servers on it, and takes all away at the end. See
docs/performance.md for what is measured and what is not.
"""

from __future__ import annotations

from bench import rounds

OPERATIONS = ("check", "track")
RATIOS = (
    ("CPU / plain", "plain", "cpu_us", 2),
    ("req/s / drf", "drf", "per_second", 1),
    ("req/s / better-auth", "better-auth", "per_second", 1),
)


def main():
    """Measure, print, keep."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--tenants", type=int, default=20, help="each with a key of its own")
    parser.add_argument("--customers", type=int, default=50, help="of each tenant")
    asked = parser.parse_args()
    rounds.enter("bench.hot")
    from bench.stand import hot_routes  # noqa: PLC0415  # it needs the packages of the environment

    rounds.run("hot", asked, OPERATIONS, hot_routes, table)


def table(rows):
    """Return the medians as a Markdown table, with the ratios to what they are measured beside."""
    return rounds.ratio_table(rows, OPERATIONS, RATIOS)


if __name__ == "__main__":
    main()
