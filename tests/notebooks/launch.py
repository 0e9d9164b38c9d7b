"""Runs a script of `scripts` with the SageMaker SDK; for the Python that has it.

    python launch.py SCRIPT METADATA

The SDK's `get_execution_role()` looks for a file below /opt, where `imclass control-plane env --sdk-metadata` writes
it. A test has no business there, and tells the SDK of another place; nothing else is changed.
"""

import runpy
import sys
from pathlib import Path

import sagemaker.session

script, sagemaker.session.NOTEBOOK_METADATA_FILE = sys.argv[1:]
sys.path.insert(0, str(Path(script).parent))
runpy.run_path(script, run_name="__main__")
