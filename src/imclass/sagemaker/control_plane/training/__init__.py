"""Training jobs: requests, documents, the input of each host, runs and metrics."""
