"""What is told as FailureReason."""

from pathlib import Path

LONGEST_REASON = 1024  # characters
OUR_FAULT = "InternalServerError: We encountered an internal error. Please try again."
LOST = f"{OUR_FAULT} The process that kept the job is gone, perhaps because the machine was restarted."


def failure_reason(failure: Path, exit_status: int) -> str:
    """What the container wrote to `output/failure`, with its exit status, as AWS tells it."""
    ending = f", exit code: {exit_status}"
    if failure.exists():
        with failure.open("rb") as file:
            text = file.read(4 * LONGEST_REASON).decode("utf-8", "replace").strip()
    else:
        text = "AlgorithmError: the container ended without saying why; its log may tell"
    return f"{text[: LONGEST_REASON - len(ending)]}{ending}"
