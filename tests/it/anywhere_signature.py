"""What an implementation that shares nothing with ours finds in a signed CreateSession: an empty line, or what is wrong.

In: the request as it was sent, on stdin. Written from "Authenticate with IAM Roles Anywhere" in AWS' user guide; certificates
and signatures are those of the package `cryptography`, which is OpenSSL.
"""

import base64
import hashlib
import re
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa


def verify(request: bytes) -> str:
    head, body = request.split(b"\r\n\r\n", 1)
    start, *lines = head.decode().split("\r\n")
    method, target, _ = start.split(" ")
    path, _, query = target.partition("?")
    headers = {name.lower(): " ".join(value.split()) for name, value in (line.split(":", 1) for line in lines)}
    form = r"(AWS4-X509-(?:RSA|ECDSA)-SHA256) Credential=(\d+)/(\d{8})/([a-z0-9-]+)/rolesanywhere/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]+)"
    authorization = re.fullmatch(form, headers["authorization"])
    if not authorization:
        return f"Authorization is not of the documented form: {headers['authorization']}"
    algorithm, serial, day, region, names, signature = authorization.groups()

    certificate = x509.load_der_x509_certificate(base64.b64decode(headers["x-amz-x509"], validate=True))
    if int(serial) != certificate.serial_number:
        return f"serial number {serial} is not the certificate's, {certificate.serial_number}"
    issued = certificate
    chain = headers.get("x-amz-x509-chain", "")
    for part in filter(None, chain.split(",")):
        issuer = x509.load_der_x509_certificate(base64.b64decode(part, validate=True))
        issued.verify_directly_issued_by(issuer)
        issued = issuer

    needed = {"host", "x-amz-date", "x-amz-x509", *(["x-amz-x509-chain"] if chain else [])}
    signed = names.split(";")
    if signed != sorted(signed) or not needed <= set(signed):
        return f"signed headers {signed} are not sorted, or lack some of {needed}"
    date = headers["x-amz-date"]
    if not re.fullmatch(rf"{day}T\d{{6}}Z", date):
        return f"X-Amz-Date {date} is not of the day {day}"

    canonical = "\n".join(
        [method, path, query, *(f"{name}:{headers[name]}" for name in signed), "", names, hashlib.sha256(body).hexdigest()]
    )
    scope = f"{day}/{region}/rolesanywhere/aws4_request"
    text = "\n".join([algorithm, date, scope, hashlib.sha256(canonical.encode()).hexdigest()]).encode()
    key = certificate.public_key()
    raw = bytes.fromhex(signature)
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm == "AWS4-X509-RSA-SHA256":
            key.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "AWS4-X509-ECDSA-SHA256":
            key.verify(raw, text, ec.ECDSA(hashes.SHA256()))
        else:
            return f"{algorithm} is not for a {type(key).__name__}"
    except InvalidSignature:
        return "the signature does not fit"
    return ""


print(verify(sys.stdin.buffer.read()))
