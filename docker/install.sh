#!/bin/sh
# Installs imclass into a virtual environment of its own, as the Dockerfile does:
#
#     docker/install.sh SOURCE TARGET
#
# SOURCE is a clone of the repository, TARGET the folder of the environment. Settings:
#   PYTHON           the Python to start from (python3)
#   TORCH_INDEX_URL  package index with the build of PyTorch to take; without it that of the usual index, which on
#                    Linux is a CUDA build, and torchvision comes along, with the decoder of JPEGs for GPUs.
#                    PyTorch's installation page names the index of its CPU build.
set -eu

source=$1
target=$2

"${PYTHON:-python3}" -m venv "$target"
package="$source[gpu]"
if [ -n "${TORCH_INDEX_URL:-}" ]; then
    package=$source
    "$target/bin/python" -m pip install --no-cache-dir --constraint "$source/constraints.txt" \
        --index-url "$TORCH_INDEX_URL" torch
fi
"$target/bin/python" -m pip install --no-cache-dir --constraint "$source/constraints.txt" "$package"

# The commands of the container, and everything that they import, are there.
"$target/bin/train" --help >/dev/null
"$target/bin/serve" --help >/dev/null
"$target/bin/python" -c "import imclass.sagemaker.supervision, imclass.sagemaker.worker"
