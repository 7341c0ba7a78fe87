# The site's image for those who run containers; plain Debian is served by deploy/install.sh.
FROM node:22-bookworm-slim AS front
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY frontend ./frontend
COPY static ./static
RUN node frontend/build.mjs

FROM python:3.13-slim-bookworm
# Debian takes earlier versions out of its archive, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/corecmr corecmr
WORKDIR /opt/corecmr
COPY requirements/base.txt requirements/base.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/base.txt
COPY . .
COPY --from=front /app/static/build static/build
ENV DJANGO_SETTINGS_MODULE=corecmr.settings.production CORECMR_VAR_DIR=/var/lib/corecmr CORECMR_BIND=0.0.0.0:8001
USER corecmr
EXPOSE 8001
CMD ["gunicorn", "corecmr.wsgi", "--config", "deploy/gunicorn.py"]
