# docker build --tag geopretrain .                                          PyTorch of the package registry: GPUs and processors
# docker build --tag geopretrain:cpu --build-arg TORCH_INDEX=ADDRESS .      another index of wheels, e.g. that of builds for processors
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=""
ARG EXTRAS="imagenet-lite,contrastive,detection,heads,onnx,teachers,datasets,calibrate,ray,slurm,remote"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/geopretrain
COPY constraints.txt ./
# PyTorch is most of the image and changes seldom: a layer of its own
RUN /opt/geopretrain/bin/pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/geopretrain/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 1000 geopretrain && install --directory --owner geopretrain /work
COPY --from=build /opt/geopretrain /opt/geopretrain
# the user's own folder, where compiled kernels and prepared data are kept, may be written by any --user
ENV PATH="/opt/geopretrain/bin:${PATH}" \
    GEOPRETRAIN_CACHE=/tmp/geopretrain \
    NUMBA_CACHE_DIR=/tmp/numba \
    MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /work
ENTRYPOINT ["geopretrain"]
CMD ["--help"]
