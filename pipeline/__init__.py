"""The model's life: prepare data, train, evaluate, write the artifact (python -m pipeline.<verb>)."""
