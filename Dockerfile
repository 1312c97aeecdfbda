# piaa serve in a container: slim, without root, fit for a read-only file system. See docs/service.md.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# The default torch for Linux brings several GB of GPU libraries. For processors alone, build with
# --build-arg PIP_EXTRA_INDEX_URL=ADDRESS, the address of CPU wheels that PyTorch's own installation page names.
ARG PIP_EXTRA_INDEX_URL=""
RUN python -m venv /opt/piaa \
    && /opt/piaa/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve]"

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin piaa
COPY --from=build /opt/piaa /opt/piaa
ENV PATH=/opt/piaa/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 HF_HOME=/models MPLCONFIGDIR=/tmp
USER 10001
WORKDIR /classifiers
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["piaa", "serve"]
CMD ["--host", "0.0.0.0", "/classifiers/classifier.piaa"]
