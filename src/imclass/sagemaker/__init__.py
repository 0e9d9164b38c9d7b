"""SageMaker's container contract: what `docker run IMAGE train` and `docker run IMAGE serve` mean.

`container.train` and `endpoint.serve` are the two commands; `worker` is one process of a training job.
"""
