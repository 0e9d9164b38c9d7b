"""Parts of a residual network in training, fused with what stands around them, on a GPU.

    norm                batch norm and what follows it: operations which differentiate themselves
    launch              on how many programs, and the steps that all of them take
    forward, backward   what they launch, in Triton, and the `parts` of both
    stem                the convolution of images, and what it launches: `space_to_depth`

Triton is imported when the first of them runs.
"""
