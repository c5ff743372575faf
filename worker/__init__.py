"""The side that holds the model: takes jobs from the queue in batches and finishes them."""
