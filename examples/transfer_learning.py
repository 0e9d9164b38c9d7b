"""Transfer learning: a classifier of your own classes that starts from public ImageNet weights.

    python examples/transfer_learning.py DATA RUN [--weights FILE] [--set NAME=VALUE]...

DATA is a folder with one folder of images a class, or data in any other form that imclass reads. The weights are
downloaded once; on a machine without network, --weights names a file of them (docs/pretrained.md says which).

The last layer is new. For one epoch it alone is trained, so that its first, random gradients do no harm to the others;
then all layers are, at the low learning rate of the modern recipe for fine-tuning.
"""

from pathlib import Path

import imclass
import script

HYPERPARAMETERS = {"use_pretrained_model": "1", "num_layers": "18", "freeze_backbone_epochs": "1"}


def main() -> None:
    parser = script.parser(__doc__)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="safetensors or a PyTorch state dictionary")
    given = parser.parse_args()
    run = imclass.train(
        given.data,
        pretrained=given.weights,
        hyperparameters={**HYPERPARAMETERS, **dict(given.changes)},
        output=given.run,
    )
    for epoch in run.metrics:
        print(f"epoch {epoch['epoch'] + 1:2d}  accuracy {epoch['validation_accuracy']:.2%}")
    print(f"model     {run.model_path}")


if __name__ == "__main__":
    script.run(main)
