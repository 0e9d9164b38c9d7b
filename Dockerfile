# A container of SageMaker, for training and for serving:
#
#     docker build --tag imclass .                       GPU and CPU: PyTorch's CUDA build, without drivers
#     docker build --build-arg TORCH_INDEX_URL=... .     CPU: an index with PyTorch's CPU build (docker/install.sh)
#     docker build --target serving --tag imclass-serving .   serving alone, as an unprivileged user
#
#     docker run --volume $PWD/ml:/opt/ml imclass train
#     docker run --volume $PWD/model:/opt/ml/model:ro --publish 8080:8080 imclass-serving

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX_URL=
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY docker docker
COPY src src
RUN docker/install.sh /source /opt/imclass

FROM ${PYTHON_IMAGE} AS installed
COPY --from=build /opt/imclass /opt/imclass
COPY docker/healthcheck.py /opt/imclass/healthcheck.py
# Without buffering, log lines reach the platform when they are printed, also those before a crash.
# The container toolkit gives the GPUs and the driver of the host to containers that ask for them.
ENV PATH=/opt/imclass/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8080

# There is a model to read and nothing to write, so no privilege is needed.
FROM installed AS serving
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin imclass
USER imclass
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
    CMD ["python", "/opt/imclass/healthcheck.py"]
CMD ["serve"]

# SageMaker runs `train` and `serve` of one image, and mounts /opt/ml for root: no USER, and no ENTRYPOINT, so that the
# argument is the command and gets SIGTERM itself. Its platform asks /ping by itself, and a training job has no /ping.
FROM installed AS sagemaker
# Triton has a C compiler make what launches its kernels.
RUN apt-get update && \
    apt-get install --yes --no-install-recommends gcc libc6-dev && \
    rm -rf /var/lib/apt/lists/*
