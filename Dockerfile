# lthray for one machine; deploy/Dockerfile puts it into Ray's own image, for a cluster.
#   docker build -t lthray .                             # PyTorch without CUDA
#   docker build -t lthray --build-arg TORCH=cu130 .     # with CUDA 13.0, for docker run --gpus all
#   docker run --rm --shm-size 2g --user "$(id -u)" -v "$PWD:/work" lthray sweep quickstart
FROM python:3.13-slim

# Which of PyTorch's indexes: cpu, cu126, cu130, ...
ARG TORCH=cpu
RUN pip install --no-cache-dir 'torch>=2.11' 'torchvision>=0.26' --index-url "https://download.pytorch.org/whl/${TORCH}"

COPY pyproject.toml README.md LICENSE /src/
COPY lthray /src/lthray
COPY sweeps /src/sweeps
RUN pip install --no-cache-dir '/src[s3]'

# It runs as any user but root: downloads and caches go to HOME, which all may write to, results to the mounted folder.
RUN useradd --create-home --uid 1000 lthray && chmod 1777 /home/lthray && install --directory --owner lthray /work
ENV HOME=/home/lthray USER=lthray
USER 1000
WORKDIR /work
ENTRYPOINT ["lthray"]
CMD ["--help"]
