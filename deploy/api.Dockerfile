# The API, and Flower on top of it: no model stack.
FROM python:3.11-slim AS api
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements-api.txt constraints.txt ./
RUN pip install --no-cache-dir -r requirements-api.txt -c constraints.txt
# /data exists before a volume is mounted there, so that the volume belongs to our user.
RUN useradd --system --uid 10001 wiredesk && install -d -m 0700 -o wiredesk /data
COPY shared shared
COPY api api
USER wiredesk
ENV WIREDESK_DATA=/data
EXPOSE 8000
CMD ["gunicorn", "-c", "api/gunicorn.conf.py", "api.app:app"]

FROM api AS flower
USER root
RUN pip install --no-cache-dir flower -c constraints.txt
COPY deploy deploy
USER wiredesk
EXPOSE 5555
CMD ["python", "-m", "deploy.flower"]
