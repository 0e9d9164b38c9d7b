"""Serves a folder as S3 in a process of its own: python -m tests.sagemaker.s3.serve FOLDER PORT."""

import sys
from pathlib import Path

import uvicorn

from imclass.sagemaker.s3.application import create_s3_application

if __name__ == "__main__":
    application = create_s3_application(Path(sys.argv[1]))
    uvicorn.run(application, port=int(sys.argv[2]), lifespan="off", log_config=None)
