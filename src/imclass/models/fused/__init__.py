"""Batch norm in training, fused with what stands around it in a residual network, on a GPU.

    norm                the operations, which differentiate themselves
    forward, backward   what they launch, in Triton, and the `parts` of both

Triton is imported when the first of them runs.
"""
