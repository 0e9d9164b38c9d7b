"""The control plane: the AWS services that SageMaker's users call, on one machine, with jobs that really run.

A request goes through `application` (which service?), `protocols` (bytes to values and back), `request_validation`
(against botocore's model) and one function of the dictionaries of operations. What there is to remember is in `state`;
the work is done by threads of `training_runs`, each of which starts a `keeper` that outlives the server, and by
`hosting`, whose server processes do not. Requests to endpoints go to `invocations`.
"""
