"""Check an exported audit log of StackBE without StackBE: Python and `pip install cryptography` are enough.

    audit_log.py audit.jsonl --keys keys.json [--earlier older.jsonl]

`keys.json` is what the instance serves at /.well-known/stackbe-keys.json. Fetch it once, from the instance
itself, and keep it. An export that you kept from before proves one thing more with `--earlier`: that the
history which you were shown then is still the same.

Each line of the file is a row and its link of a chain: SHA-256 over the link before, the row's number and the row.
The last line is the chain's end with a signature. `detail` stands beside a row for reading; what the chain covers is
the encrypted detail in the row.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PURPOSE = b"stackbe.head.v1\n"


def raw(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, no spaces and ASCII escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def checked_head(head: dict[str, Any], keys: list[dict[str, str]]) -> dict[str, Any]:
    """Return what a head states, once its signature holds."""
    found = [raw(key["x"]) for key in keys if key["kid"] == head["kid"]]
    if not found:
        sys.exit(f"Signed by {head['kid']}, which is not among the keys.")
    try:
        key = Ed25519PublicKey.from_public_bytes(found[0])
        key.verify(raw(head["signature"]), PURPOSE + canonical(head["statement"]))
    except InvalidSignature:
        sys.exit("The signature of the head does not fit: it was changed after it was signed.")
    statement: dict[str, Any] = head["statement"]
    return statement


def chain_of(path: pathlib.Path, keys: list[dict[str, str]]) -> tuple[dict[str, Any], dict[int, str]]:
    """Go through a file; return what its head states, and the digest of every link by its number."""
    links: dict[int, str] = {}
    digest, number, head = bytes(32), 0, None
    with path.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if head is not None:
                sys.exit("There are lines after the head.")
            if "head" in entry:
                head = checked_head(entry["head"], keys)
                continue
            number += 1
            if entry["sequence"] != number:
                sys.exit(f"Row {number} is missing.")
            digest = hashlib.sha256(digest + number.to_bytes(8, "big") + canonical(entry["row"])).digest()
            if digest.hex() != entry["digest"]:
                sys.exit(f"Row {number} ({entry['row']['id']}) is not what was sealed.")
            links[number] = entry["digest"]
    if head is None:
        sys.exit("The file has no head: it was cut short.")
    if (head["sequence"], head["digest"]) != (number, digest.hex()):
        sys.exit(f"The head is of row {head['sequence']}, and the rows end at {number}.")
    return head, links


def main() -> None:
    """Read the command line and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--keys", type=pathlib.Path, required=True)
    parser.add_argument("--earlier", type=pathlib.Path)
    asked = parser.parse_args()
    keys = json.loads(asked.keys.read_text())["keys"]
    try:
        head, links = chain_of(asked.file, keys)
        earlier = chain_of(asked.earlier, keys)[0] if asked.earlier else None
    except (ValueError, KeyError, TypeError):
        sys.exit("This is not a whole audit log: the file is damaged or was cut short.")
    print(f"Good: {len(links)} rows of {head['tenantId']}, signed {head['signedAt']} by {head['issuer']}.")
    if earlier:
        if earlier["tenantId"] != head["tenantId"] or links.get(earlier["sequence"]) != earlier["digest"]:
            sys.exit("The earlier export tells another history.")
        print(f"The {earlier['sequence']} rows of the earlier export are all there, unchanged.")


if __name__ == "__main__":
    main()
