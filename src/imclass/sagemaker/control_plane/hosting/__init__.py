"""Endpoints: real server processes behind the addresses of SageMaker's runtime.

`endpoints` is the thread that keeps all endpoints, each told from top to bottom in `endpoint_run`. An endpoint has a
`fleet` of `instance`s, each of which keeps one `serving_process` going. The event loop of the control plane's own
server asks `routing` where a request goes (`invocations`) and sends it there (`http_client`).
"""
