"""Fuzzes the readers of files that anyone may have made, each for some time, guided by the code that is reached.

    python -m tests.fuzz.fuzz [TARGET ...] [--seconds 600] [--findings FOLDER]

Needs atheris (`pip install '.[fuzz]'`). Prints the number of executions of each target. What breaks one is written to
FOLDER/TARGET; the status is then 1. A file that found something belongs into tests/fuzz/findings/TARGET, where
`tests/fuzz/test_targets.py` runs it ever after.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.seeds import seeds

NAMES = ("recordio", "idx", "lst", "manifest", "image", "archive", "params", "symbol", "s3_key", "s3_chunked", "s3_xml")
SECONDS_AN_EXECUTION = 20
MEGABYTES = 2048
LONGEST_INPUT = 8192  # bytes
EXECUTIONS_A_PROCESS = 400_000
"""The instrumentation of atheris keeps what compared arrays gave, some kilobytes an execution: a new process goes on
with the same corpus before that reaches the limit of memory, which is there for the readers."""

# Instruments the readers while they are imported, then runs until libFuzzer ends the process.
RUN = """
import sys
import atheris
with atheris.instrument_imports(include=["imclass"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all of them by default")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: 600)")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where to write what breaks one")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in NAMES]
    if arguments.seconds < 1:
        parser.error("--seconds must be at least 1")
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(NAMES)}")
    broken = [
        name for name in arguments.targets or NAMES if not fuzz(name, arguments.seconds, arguments.findings / name)
    ]
    print(f"broken: {', '.join(broken)}" if broken else "nothing was found")
    return 1 if broken else 0


def fuzz(name: str, seconds: int, findings: Path) -> bool:
    """Fuzz one target; False if something was found."""
    findings.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    executions, sound = 0, True
    with tempfile.TemporaryDirectory(prefix="imclass-corpus-") as corpus:
        for number, seed in enumerate(seeds(name)):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        while sound and (left := seconds - int(time.monotonic() - began)) > 0:
            done = run(name, left, corpus, findings)
            executions += executed(done.stderr)
            sound = done.returncode == 0
            if not sound:
                print(done.stderr[-8000:], flush=True)
    print(f"{name}: {executions:,} executions in {time.monotonic() - began:.0f} s", flush=True)
    return sound


def run(name: str, seconds: int, corpus: str, findings: Path) -> subprocess.CompletedProcess[str]:
    """Run one process, which adds what reaches new code to the corpus."""
    options = [
        f"-max_total_time={seconds}",
        f"-runs={EXECUTIONS_A_PROCESS}",
        f"-timeout={SECONDS_AN_EXECUTION}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-c", RUN, name, *options, corpus]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)


def executed(report: str) -> int:
    """The number of executions that libFuzzer reports at its end."""
    return sum(int(line.split()[-1]) for line in report.splitlines() if "number_of_executed_units" in line)


if __name__ == "__main__":
    sys.exit(main())
