"""Check an archive or a receipt of StackBE without StackBE: Python and `pip install cryptography` are enough.

    archive.py verify acme.zip --keys keys.json
    archive.py receipt receipt.json --keys keys.json
    archive.py open acme.zip --keys keys.json --passphrase-file words.txt --to folder

`keys.json` is what the instance serves at /.well-known/stackbe-keys.json. Fetch it once, from the instance
itself, and keep it: an archive that brought its own key along would prove nothing. `open` decrypts a whole
account's archive into plain JSON Lines; write them where nobody else reads.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys
import zipfile
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

HEADER, NONCE = 17, 12  # a sealed value: version (1), id of the key (16) · nonce (12) · ciphertext and tag
MOST_MEMORY = 2**20  # scrypt's n: more than that is no archive of ours


def raw(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check(keys: list[dict[str, str]], purpose: bytes, content: bytes, proof: dict[str, str]) -> None:
    """Stop unless a published key made the signature over `purpose` and the content."""
    found = [raw(key["x"]) for key in keys if key["kid"] == proof["kid"]]
    if not found:
        sys.exit(f"Signed by {proof['kid']}, which is not among the keys.")
    try:
        Ed25519PublicKey.from_public_bytes(found[0]).verify(raw(proof["signature"]), purpose + content)
    except InvalidSignature:
        sys.exit("The signature does not fit: this was changed after it was signed.")


def verify(path: pathlib.Path, keys: list[dict[str, str]]) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """Check signature, parts and digests of an archive; return it and its manifest."""
    try:
        archive = zipfile.ZipFile(path)
        content, proof = archive.read("manifest.json"), json.loads(archive.read("manifest.sig"))
        check(keys, b"stackbe.archive.v1\n", content, proof)
        manifest = json.loads(content)
        if sorted(archive.namelist()) != sorted([*manifest["parts"], "manifest.json", "manifest.sig"]):
            sys.exit("The archive holds other parts than its manifest names.")
        for name, stated in manifest["parts"].items():
            digest = hashlib.sha256()
            with archive.open(name) as part:
                for line in part:
                    digest.update(line)
            if digest.hexdigest() != stated["sha256"]:
                sys.exit(f"{name} was changed after the archive was made.")
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
        sys.exit("This is not a whole archive: the file is damaged or was cut short.")
    return archive, manifest


def unsealed(key: bytes, sealed: bytes, context: str) -> bytes:
    """Decrypt one value, bound to its place by `context`."""
    header, rest = sealed[:HEADER], sealed[HEADER:]
    return AESGCM(key).decrypt(rest[:NONCE], rest[NONCE:], header + context.encode())


def keys_of(archive: zipfile.ZipFile, manifest: dict[str, Any], passphrase: bytes) -> dict[str, bytes]:
    """Return all keys of an account by their id: the passphrase opens the tenant's, those open the people's."""
    how = manifest["wrapping"]
    if how["n"] > MOST_MEMORY:
        sys.exit("The manifest asks for more memory than any archive of ours.")
    outer = Scrypt(salt=raw(how["salt"]), length=32, n=how["n"], r=how["r"], p=how["p"]).derive(passphrase)
    found = {}
    for line in archive.open("keys.jsonl"):
        row = json.loads(line)
        try:
            key = unsealed(outer, raw(row["wrapped"]), f"archive-key|{manifest['tenantId']}|{row['id']}")
        except InvalidTag:
            sys.exit("The passphrase is wrong.")
        found[row["id"].replace("-", "")] = key
    for line in archive.open("rows/kernel_subjectkey.jsonl"):
        row = json.loads(line)
        wrapped = bytes.fromhex(row["wrapped"][2:])
        context = f"subject-key|{row['tenant_id']}|{row['subject_id']}|{row['id']}"
        found[row["id"].replace("-", "")] = unsealed(found[wrapped[1:HEADER].hex()], wrapped, context)
    return found


def open_all(archive: zipfile.ZipFile, manifest: dict[str, Any], passphrase: bytes, folder: pathlib.Path) -> None:
    """Write every part as plain JSON Lines. What was erased stays unreadable and shows as null."""
    keys = keys_of(archive, manifest, passphrase)
    for name in manifest["parts"]:
        table = pathlib.PurePosixPath(name).stem
        sealed = manifest["sealed"].get(table, {})
        with open(folder / f"{table}.jsonl", "w", encoding="utf-8") as out:
            for line in archive.open(name):
                row = json.loads(line)
                for column, as_json in sealed.items():
                    if row.get(column) is None:
                        continue
                    value = bytes.fromhex(row[column][2:])
                    key = keys.get(value[1:HEADER].hex())
                    text = key and unsealed(key, value, f"{table}.{column}|{row['id']}").decode()
                    row[column] = json.loads(text) if text and as_json else text
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["verify", "receipt", "open"])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--keys", type=pathlib.Path, required=True)
    parser.add_argument("--passphrase-file", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path)
    asked = parser.parse_args()
    keys = json.loads(asked.keys.read_text())["keys"]
    if asked.what == "receipt":
        receipt = json.loads(asked.file.read_text())
        statement = json.dumps(receipt["statement"], sort_keys=True, separators=(",", ":")).encode()
        check(keys, b"stackbe.receipt.v1\n", statement, receipt)
        print("Good. It states:", statement.decode())
        return
    archive, manifest = verify(asked.file, keys)
    lines = sum(part["lines"] for part in manifest["parts"].values())
    print(f"Good: {manifest['subjectId']}, made {manifest['createdAt']} by {manifest['issuer']}, {lines} lines.")
    if asked.what == "open":
        if not asked.passphrase_file or not asked.to:
            sys.exit("open wants --passphrase-file and --to.")
        asked.to.mkdir(mode=0o700, parents=True, exist_ok=True)
        open_all(archive, manifest, asked.passphrase_file.read_bytes().strip(), asked.to)
        print("Opened into", asked.to)


if __name__ == "__main__":
    main()
