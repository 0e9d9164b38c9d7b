"""Pages of other sites, which a browser on this machine may show, must not use a server that asks for no signature.

A page can make its reader's browser post to 127.0.0.1, where everybody may do everything. Browsers say where such a
request comes from (`Sec-Fetch-Site`, `Origin`), and no script can change that. boto3, the AWS CLI and other programs
send neither.
"""

from collections.abc import Mapping

from imclass.sagemaker.control_plane.console.access import is_local, is_same_origin

READING = frozenset({"GET", "HEAD", "OPTIONS"})
REFUSAL = (
    "The request comes from a page of another site, and was not carried out. "
    "Start the server with --access-key and --secret-key-file to accept signed requests from anywhere.\n"
)


def is_of_another_site(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page that is not ours has made a browser send a request that does something.

    Reading is harmless, because a browser keeps the answer from such a page; unless a name of the outside leads here,
    by which the page looks like one of ours.

    Args:
        headers: by names in lower case.
    """
    if "sec-fetch-site" not in headers and "origin" not in headers:
        return False
    host = headers.get("host", "")
    if not is_local(host) and not host.partition(":")[0].endswith(".localhost"):
        return True
    return method not in READING and headers.get("sec-fetch-site") != "none" and not is_same_origin(headers)
