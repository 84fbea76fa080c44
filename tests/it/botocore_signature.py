"""The Authorization header that botocore gives a captured request, signed with the same keys at the same time.

In: the endpoint, the secret key, region and service as arguments, and the request as it was sent on stdin. Which headers are
signed is taken from the request's own Authorization; everything else of it is ignored.
"""

import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

endpoint, secret, region, service = sys.argv[1:]
head, body = sys.stdin.buffer.read().split(b"\r\n\r\n", 1)
lines = head.decode().split("\r\n")
method = lines[0].split(" ")[0]
headers = dict(line.split(": ", 1) for line in lines[1:])
sent = headers["authorization"]
key = re.search("Credential=([^/]+)/", sent).group(1)
signed = re.search("SignedHeaders=([^,]+),", sent).group(1).split(";")

auth = SigV4Auth(Credentials(key, secret), service, region)
request = AWSRequest(method, endpoint, {name: headers[name] for name in signed}, body)
request.context["timestamp"] = headers["x-amz-date"]
string_to_sign = auth.string_to_sign(request, auth.canonical_request(request))
print(
    f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, "
    f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(request))}, "
    f"Signature={auth.signature(string_to_sign, request)}"
)
