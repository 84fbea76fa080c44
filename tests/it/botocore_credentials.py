"""The credentials that botocore's own providers give.

In: "file" and a JSON list of [path, profile], or "container" and one of environments. Out: a JSON list with the access key ID, the
secret access key and the session token of each, null if the provider has none, or the name of the exception.
"""

import json
import sys

from botocore.credentials import ContainerProvider, SharedCredentialProvider
from botocore.utils import ContainerMetadataFetcher


def provider(kind, case):
    if kind == "file":
        path, profile = case
        return SharedCredentialProvider(path, profile)
    return ContainerProvider(case, ContainerMetadataFetcher(sleep=lambda seconds: None))


def judged(kind, case):
    try:
        credentials = provider(kind, case).load()
    except Exception as error:
        return type(error).__name__
    if credentials is None:
        return None
    # Refreshable ones that are over would be asked for again.
    return [credentials._access_key, credentials._secret_key, credentials._token] if kind == "container" else [
        credentials.access_key,
        credentials.secret_key,
        credentials.token,
    ]


kind, cases = sys.argv[1], json.loads(sys.argv[2])
print(json.dumps([judged(kind, case) for case in cases]))
