# The page of `stya2k demo` in a container, on the CPU:
#
#   docker build -t stya2k .
#   docker run --rm -p 127.0.0.1:7860:7860 stya2k
#
# Then open http://127.0.0.1:7860. More in docs/stylizing.md, "In a container". The tests lint this
# file and run its commands without Docker; they do not build it.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY stya2k_jax stya2k_jax
# What is installed is this checkout; pyproject.toml has the versions of the rest.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir '.[demo]' \
    && useradd --create-home --uid 1000 painter

# Nothing here needs root, and the cache of compiled programs is below the home directory.
USER 1000
WORKDIR /home/painter

EXPOSE 7860
HEALTHCHECK --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/')"]

# All addresses of the container: which of them the world reaches is for `docker run -p` to say.
ENTRYPOINT ["stya2k"]
CMD ["demo", "--host=0.0.0.0"]
