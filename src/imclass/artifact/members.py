"""Names in a model archive, ours and the original's."""

import re
from typing import Final

DESCRIPTION_MEMBER: Final = "model.json"
WEIGHTS_MEMBER: Final = "model.safetensors"
CHECKPOINTS: Final = "checkpoints"  # folder of the weights of earlier epochs
CHECKPOINT_NAME = re.compile(r"epoch-(?P<epoch>\d{4,9})\.safetensors")
SHAPES_MEMBER: Final = "model-shapes.json"
