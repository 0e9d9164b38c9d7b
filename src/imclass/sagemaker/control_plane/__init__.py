"""The control plane: the AWS services that SageMaker's users call, on one machine, with jobs that really run.

A request goes through `application` (which service?), `api.protocols` (bytes to values and back), `api.validation`
(against botocore's model) and one function of the dictionaries in `operations`. What there is to remember is in
`store.state`; the work is done by threads, one for each job (`jobs.runs`), each of which starts a `jobs.keeper` that
outlives the server, and by `hosting`, whose server processes do not. Requests to endpoints go to `hosting.invocations`.
"""
