"""Caltech-256 from random weights, with the channels and hyperparameters of a SageMaker job.

    python examples/caltech256_full_training.py DATA RUN [--set NAME=VALUE]...

DATA holds `caltech-256-60-train.rec` and `caltech-256-60-val.rec`: 60 images of each of the 257 classes to train on,
and the others to validate with. `lst_format.py` makes such a division from the folders of Caltech-256, as two lists,
and `imclass pack` makes these files from the lists:

    imclass pack RUN/train.lst --image-root DATA --resize 256 --output caltech-256-60-train.rec
    imclass pack RUN/validation.lst --image-root DATA --resize 256 --output caltech-256-60-val.rec

This is work for a GPU. `--set epochs=2` shows on any machine that everything is in place; two epochs are too few for a
network that answers well.
"""

import imclass
import script

# As text, which is how a job has them; numbers would do as well.
HYPERPARAMETERS = {
    "num_layers": "18",
    "image_shape": "3,224,224",
    "num_classes": "257",
    "num_training_samples": "15420",
    "mini_batch_size": "128",
    "epochs": "60",
    "learning_rate": "0.1",
    "lr_scheduler_step": "30,45",
    "augmentation_type": "crop_color_transform",
    "top_k": "5",
}


def main() -> None:
    given = script.parser(__doc__).parse_args()
    run = imclass.train(
        channels={
            "train": given.data / "caltech-256-60-train.rec",
            "validation": given.data / "caltech-256-60-val.rec",
        },
        content_types={"train": "application/x-recordio", "validation": "application/x-recordio"},
        hyperparameters={**HYPERPARAMETERS, **dict(given.changes)},
        output=given.run,
    )
    top_k = run.hyperparameters.top_k
    print(f"accuracy {run.best['validation_accuracy']:.2%}, epoch {run.best['epoch'] + 1} of {len(run.metrics)}")
    print(f"the right class is among the first {top_k}: {run.best['validation_top_k_accuracy']:.2%}")
    print(f"model    {run.model_path}")


if __name__ == "__main__":
    script.run(main)
