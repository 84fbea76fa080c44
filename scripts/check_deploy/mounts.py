"""What a container finds at its mounts, laid out in a folder, for the program that looks at it before it starts.

Config maps are those of the same rendering. Secrets are made up: a certificate with its key where the name says so, else a
token. A projected token is left out, since the program reads it only once it runs.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def lay(folder: Path, container: dict, volumes: list[dict], maps: dict, environment: dict) -> dict[str, str]:
    """Writes the files; gives the environment with paths that lead to them."""
    by_name = {volume["name"]: volume for volume in volumes}
    moved = dict(environment)
    for mount in container["volumeMounts"]:
        volume, path = by_name[mount["name"]], mount["mountPath"]
        if "projected" in volume:
            continue
        here = folder / mount["name"]
        here.mkdir()
        for variable, value in environment.items():
            if value.startswith(path + "/"):
                moved[variable] = value.replace(path, str(here))
        if "configMap" in volume:
            for name, text in maps[volume["configMap"]["name"]].items():
                (here / name).write_text(text)
        else:
            secret(here, [Path(value).name for value in moved.values() if value.startswith(str(here))])
    return moved


def secret(folder: Path, names: list[str]) -> None:
    certificate, key = self_signed()
    for name in names:
        text = {".crt": certificate, ".key": key}.get(Path(name).suffix, "a-token-that-senders-show-to-the-gateway")
        (folder / name).write_text(text)


def self_signed() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.public_bytes(pem).decode(), key.private_bytes(pem, *plain).decode()
