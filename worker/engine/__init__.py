"""From news text to a label with exact probabilities; knows nothing of queues or HTTP."""
