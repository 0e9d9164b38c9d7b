"""`python -m imclass`, and `torchrun ... -m imclass train ...` on several GPUs or machines."""

from imclass.cli import main

main()
