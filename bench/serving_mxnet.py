"""A peer of `bench/serving.py`: prints images/s of MXNet's forward pass in float32, on random pixels.

    python bench/serving_mxnet.py PREFIX C,H,W BATCH SECONDS

Runs in an environment of MXNet 1.9.1; PREFIX-symbol.json and PREFIX-0000.params are what it computes.
"""

import sys
import time

import mxnet as mx


def main() -> None:
    prefix, shape, batch, seconds = sys.argv[1:]
    size = (int(batch), *map(int, shape.split(",")))
    symbol, arguments, auxiliaries = mx.model.load_checkpoint(prefix, 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=["softmax_label"], context=mx.cpu())
    module.bind([("data", size)], for_training=False)
    module.set_params(arguments, auxiliaries)
    pixels = mx.io.DataBatch([mx.nd.random.uniform(0, 255, size)])

    def forward() -> None:
        module.forward(pixels, is_train=False)
        module.get_outputs()[0].wait_to_read()

    forward()
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < float(seconds):
        forward()
        batches += 1
    print(batches * size[0] / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
