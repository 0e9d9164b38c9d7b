"""The GPU's half of the pixel pipeline: hardware JPEG decoding, and one kernel that augments a whole batch.

    feed      reads, hands JPEGs to the decoder and the rest to the CPU threads, and puts the batch together
    lane      stream and memory of one batch; several are made at the same time
    decoder   compressed bytes to levels, on the device
    share     how many JPEGs the CPU threads take off the decoder's hands, if that is faster
    warp      carries out a `BatchPlan`; its arithmetic is in `kernel`
    opening   whether all of this works on this machine

Nothing here is imported on a machine without a GPU. Triton and torchvision are imported when they are used.
"""
