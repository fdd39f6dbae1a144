# docker build --tag csrve . && docker run --rm --read-only --publish 8000:8000 csrve
# Another store: docker run --volume "$PWD/models:/store:ro" ... csrve --default-model NAME. What follows the image's name
# takes the place of CMD; variables (--env CSRVE_STORE=...) go before it. It holds what serving needs, and no
# machine-learning framework.

FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml constraints.txt CMakeLists.txt README.md ./
COPY compressor/ compressor/
COPY model_store/ model_store/
COPY service/ service/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
    && pip install --no-cache-dir --prefix /installed --constraint constraints.txt /wheel/csrve-*.whl

FROM python:3.11-slim
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CSRVE_HOST=0.0.0.0 \
    CSRVE_STORE=/store
COPY --from=build /installed /usr/local
COPY store/ /store/
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["--default-model", "resnet20-cifar10"]
