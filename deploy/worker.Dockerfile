# The worker with its model stack. Models are mounted at /app/models, not copied.
# CPU by default; for a GPU: TORCH=torch==2.13.0 TORCH_INDEX=https://pypi.org/simple
FROM python:3.11-slim
ARG TORCH=torch==2.13.0+cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# A folder inside the build context whose wheels are used before any index.
ARG WHEELS=deploy/wheels
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOKENIZERS_PARALLELISM=false
WORKDIR /app
COPY ${WHEELS} /tmp/wheels
RUN pip install --no-cache-dir --find-links /tmp/wheels "${TORCH}" \
    || pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" "${TORCH}"
COPY requirements-api.txt requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --find-links /tmp/wheels -r requirements.txt -c constraints.txt
RUN useradd --system --uid 10001 wiredesk && install -d -m 0700 -o wiredesk /data
COPY shared shared
COPY worker worker
USER wiredesk
ENV WIREDESK_DATA=/data
CMD ["python", "-m", "worker"]
