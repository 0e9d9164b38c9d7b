"""Why a job failed, where the control plane looks for it; without PyTorch, which `sagemaker.failure` needs."""

from imclass.pending_file import PendingFile
from imclass.sagemaker.layout import Layout


def tell_failure(layout: Layout, text: str) -> None:
    """Write /opt/ml/output/failure, and the log."""
    print(text, flush=True)
    layout.failure.parent.mkdir(parents=True, exist_ok=True)
    with PendingFile(layout.failure) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
