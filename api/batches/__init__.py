"""OpenAI's batches: files on disk, batches in Redis, and what the feeder (api/feeder.py) does with them."""
