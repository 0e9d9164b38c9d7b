"""The side of MXNet 1.9.1 in `bench/cpu.py`, a contestant as `bench/rounds.py` asks for.

    python bench/cpu_mxnet.py train|load|infer SETTINGS

Runs in an environment of MXNet 1.9.1. Its network is the one that imclass converted (PREFIX-symbol.json and
PREFIX-0000.params), its images come from its own ImageRecordIter with one OpenMP thread a core (`ctx='cpu'`), and a
step of training is that of `Module.fit`.
"""

import os
import time

import mxnet as mx

from rounds import answer

# What imclass calls augmentation_type, in ImageRecordIter's terms.
AUGMENTATIONS = {
    "crop": {"rand_crop": True, "rand_mirror": True},
    "crop_color_transform": {
        "rand_crop": True,
        "rand_mirror": True,
        "random_h": 36,
        "random_s": 50,
        "random_l": 50,
        "max_rotate_angle": 10,
        "max_shear_ratio": 0.1,
        "max_aspect_ratio": 0.25,
    },
}


def iterator(settings):
    """Batches, of which few are made ahead: those that are ready when a turn begins were not made in it."""
    return mx.io.ImageRecordIter(
        path_imgrec=settings["records"],
        path_imgidx=settings["records"][: -len("rec")] + "idx",
        data_shape=tuple(settings["image_shape"]),
        batch_size=settings["mini_batch_size"],
        shuffle=True,
        resize=settings["resize"] or -1,
        preprocess_threads=len(os.sched_getaffinity(0)),
        ctx="cpu",
        prefetch_buffer=1,
        **AUGMENTATIONS[settings["augmentation_type"]],
    )


def next_batch(batches):
    """The next one of endless passes. `reset` belongs at the end of a pass only: it throws away what is made ahead."""
    try:
        return batches.next()
    except StopIteration:
        batches.reset()
        return batches.next()


def bound_module(settings, for_training):
    symbol, arguments, auxiliaries = mx.model.load_checkpoint(settings["prefix"], 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=["softmax_label"], context=mx.cpu())
    batch_size = settings["mini_batch_size"]
    labels = [("softmax_label", (batch_size,))] if for_training else None
    module.bind([("data", (batch_size, *settings["image_shape"]))], labels, for_training=for_training)
    module.set_params(arguments, auxiliaries)
    return module


def train(settings):
    """Steps of `Module.fit`: forward, backward, update, metric."""
    batches, module = iterator(settings), bound_module(settings, for_training=True)
    batch_size = settings["mini_batch_size"]
    optimizer = {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-4, "rescale_grad": 1.0 / batch_size}
    module.init_optimizer(kvstore=None, optimizer="sgd", optimizer_params=optimizer)
    metric = mx.metric.Accuracy()

    def work(seconds):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            batch = next_batch(batches)
            module.forward_backward(batch)
            module.update()
            module.update_metric(metric, batch.label)  # reads the answers, as `fit` does: the step is done then
            steps += 1
        mx.nd.waitall()
        return steps * batch_size

    work(0.01)
    return work


def load(settings):
    """Batches of endless passes through the data."""
    batches = iterator(settings)

    def work(seconds):
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            batch = next_batch(batches)
            batch.data[0].wait_to_read()
            images += settings["mini_batch_size"]  # also where the end of a pass is filled up: those are decoded too
        return images

    work(0.01)
    return work


def infer(settings):
    """Probabilities of pixels that are there already."""
    module = bound_module(settings, for_training=False)
    size = (settings["mini_batch_size"], *settings["image_shape"])
    pixels = mx.io.DataBatch([mx.nd.random.uniform(0, 255, size)])

    def work(seconds):
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            module.forward(pixels, is_train=False)
            module.get_outputs()[0].asnumpy()
            images += size[0]
        return images

    work(0.01)
    return work


if __name__ == "__main__":
    answer({"train": train, "load": load, "infer": infer})
