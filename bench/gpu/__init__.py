"""Training on a GPU, beside its peers; `python -m bench.gpu`."""
