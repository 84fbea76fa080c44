#!/usr/bin/env python3
"""Clients that nobody here wrote, against the emulator: azure-identity, google-auth, boto3, botocore's signer and AWS' session
for Roles Anywhere.

In: a built emulator (`cargo build -p emulator`, or EMULATOR=PATH). Out: a line for each step, and exit code 0 only if every
client got what it should, and the refusals that it should. The clients are installed below target/ first. `clients.rs`
runs this among the tests.
"""

import base64
import json
import os
import pathlib
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
VENV = TARGET / "clients-venv"
CLIENTS = [
    "azure-identity==1.27.0",
    "boto3==1.44.8",
    "google-auth[requests]==2.63.0",
    "iam-rolesanywhere-session==3.0.0",
]


def enter_venv():
    """Installs the clients once, and goes on in there."""
    python, installed = VENV / "bin" / "python", VENV / "installed.txt"
    if pathlib.Path(sys.prefix) == VENV:
        return
    if not installed.exists() or installed.read_text() != "\n".join(CLIENTS):
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *CLIENTS], check=True)
        installed.write_text("\n".join(CLIENTS))
    os.execv(python, [python, *sys.argv])


def serve(*flags):
    """The running emulator and the environment that it prints."""
    emulator = os.environ.get("EMULATOR", TARGET / "debug" / "emulator")
    process = subprocess.Popen([emulator, "serve", *flags], stdout=subprocess.PIPE, text=True)
    environment = {}
    for line in process.stdout:
        if line.startswith("# for example"):
            break
        if line.startswith("export "):
            name, value = line.removeprefix("export ").strip().split("=", 1)
            environment[name] = value.strip("'")
    return process, environment


def web_identity(world):
    """The token for AWS: the pod's own, or the one that Entra gives for it."""
    if "AMP_SIDECAR_TOKEN_AUDIENCE" in world:
        return machines_token(world)
    if "AZURE_CLIENT_ID" not in world:
        return pathlib.Path(world["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text()
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import WorkloadIdentityCredential

    def ask(client_id):
        credential = WorkloadIdentityCredential(
            tenant_id=world["AZURE_TENANT_ID"],
            client_id=client_id,
            token_file_path=world["AZURE_FEDERATED_TOKEN_FILE"],
            authority=world["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
        )
        return credential.get_token(world["AMP_SIDECAR_ENTRA_SCOPE"]).token

    try:
        ask("nobody")
        raise AssertionError("an unknown application got a token")
    except ClientAuthenticationError as error:
        assert "AADSTS700016" in str(error), error
    token = ask(world["AZURE_CLIENT_ID"])
    print(f"  azure-identity: a token of version {claims_of(token)['ver']}")
    return token


def machines_token(world):
    """The token that the metadata server gives Microsoft's or Google's own client."""
    audience = world["AMP_SIDECAR_TOKEN_AUDIENCE"]
    if "GCE_METADATA_HOST" in world:
        # Read when the module is loaded.
        os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = world["GCE_METADATA_HOST"]
        os.environ["NO_PROXY"] = "127.0.0.1"
        from google.auth.transport.requests import Request
        from google.oauth2 import id_token

        token = id_token.fetch_id_token(Request(), audience)
        print("  google-auth: a token of", claims_of(token)["iss"])
        return token
    from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

    variable = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
    os.environ[variable] = world[variable]
    try:
        ManagedIdentityCredential(client_id="nobody").get_token(audience)
        raise AssertionError("an identity that is not assigned got a token")
    except CredentialUnavailableError as error:
        assert "Identity not found" in str(error), error
    token = ManagedIdentityCredential().get_token(audience).token
    print(f"  azure-identity: a managed identity's token of version {claims_of(token)['ver']}")
    return token


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def sts(world, credentials=None):
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    where = {"endpoint_url": world["AWS_ENDPOINT_URL_STS"], "region_name": world["AWS_REGION"]}
    if credentials is None:
        return boto3.client("sts", config=Config(signature_version=UNSIGNED), **where)
    return boto3.client(
        "sts",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        **where,
    )


def of_certificate(world):
    """The session that AWS' own client gets with the certificate, whose chain it takes apart from the leaf."""
    from iam_rolesanywhere_session import CredentialsRetrievalError, IAMRolesAnywhereSession

    presented = pathlib.Path(world["AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE"]).read_text()
    end = "-----END CERTIFICATE-----\n"
    leaf, chain = (part.encode() for part in presented.split(end, 1))

    def session(**changes):
        wanted = {
            "profile_arn": world["AMP_SIDECAR_PROFILE_ARN"],
            "role_arn": world["AWS_ROLE_ARN"],
            "trust_anchor_arn": world["AMP_SIDECAR_TRUST_ANCHOR_ARN"],
            "certificate": leaf + end.encode(),
            "certificate_chain": chain,
            "private_key": pathlib.Path(world["AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY"]).read_bytes(),
            "region": world["AWS_REGION"],
            "endpoint": world["AWS_ENDPOINT_URL_ROLESANYWHERE"].removeprefix("https://"),
            "verify": world["AWS_CA_BUNDLE"],
        }
        return IAMRolesAnywhereSession(**{**wanted, **changes}).get_session()

    try:
        session(role_session_name="me").get_credentials().get_frozen_credentials()
        raise AssertionError("a session was named, which the profile does not accept")
    except CredentialsRetrievalError as error:
        assert "roleSessionName" in str(error), error
    keys = session().get_credentials().get_frozen_credentials()
    print("  iam-rolesanywhere-session: a session")
    return {
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "SessionToken": keys.token,
    }


def role_session(world):
    """The last session of the chain."""
    from botocore.exceptions import ClientError

    if "AMP_SIDECAR_TRUST_ANCHOR_ARN" in world:
        return of_certificate(world)

    granted = sts(world).assume_role_with_web_identity(
        RoleArn=world["AWS_ROLE_ARN"], RoleSessionName="client", WebIdentityToken=web_identity(world)
    )
    for hop in world.get("AMP_SIDECAR_ASSUME_ROLE", "").split():
        arn, _, external_id = hop.partition(",external-id=")
        client = sts(world, granted["Credentials"])
        wanted = {"RoleArn": arn, "RoleSessionName": "client", "SourceIdentity": "cluster"}
        if external_id:
            try:
                client.assume_role(**wanted)
                raise AssertionError("a role was had without its external id")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied", error
            wanted["ExternalId"] = external_id
        granted = client.assume_role(Tags=[{"Key": "team", "Value": "metrics"}], **wanted)
        assert granted["SourceIdentity"] == "cluster"
    print(f"  boto3: {granted['AssumedRoleUser']['Arn']}")
    return granted["Credentials"]


def call(world, credentials, method, url, body=b"", **headers):
    """The status of a request that botocore signed."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys = Credentials(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    SigV4Auth(keys, "aps", world["AWS_REGION"]).add_auth(request)
    signed = urllib.request.Request(
        request.url, data=body or None, headers=dict(request.headers), method=method
    )
    trust = ssl.create_default_context(cafile=world["AWS_CA_BUNDLE"])
    try:
        return urllib.request.urlopen(signed, context=trust).status
    except urllib.error.HTTPError as error:
        return error.code


def check(*flags):
    print("serve", *flags)
    process, world = serve(*flags, "--allow-query")
    try:
        os.environ["REQUESTS_CA_BUNDLE"] = world["AWS_CA_BUNDLE"]
        credentials = role_session(world)
        url = world["AMP_SIDECAR_REMOTE_WRITE_URL"]
        snappy = {"content_type": "application/x-protobuf", "content_encoding": "snappy"}
        form = {"content_type": "application/x-www-form-urlencoded"}
        query = url.replace("remote_write", "query")
        # 501: signature and permission are right, and there is no Prometheus to ask.
        for expected, status in [
            (200, call(world, credentials, "POST", url, b"\0", **snappy)),
            (501, call(world, credentials, "GET", f"{query}?query=1%2B1&time=1")),
            (501, call(world, credentials, "POST", query, b"query=1%2B1", **form)),
            (403, call(world, {**credentials, "SecretAccessKey": "x"}, "POST", url, b"\0", **snappy)),
        ]:
            assert status == expected, f"{status} instead of {expected}"
        print("  botocore: a batch is taken, queries are understood, a forged one is refused")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    enter_venv()
    check()
    check("--entra", "v1", "--entra-https", "--chain", "tenant-42")
    check("--entra", "v2", "--entra-https")
    check("--machine", "azure-v1")
    check("--machine", "azure-v2")
    check("--machine", "google")
    check("--roles-anywhere", "ecdsa", "--roles-anywhere-https")
    check("--roles-anywhere", "rsa", "--roles-anywhere-https")
    print("every client got what it should")
