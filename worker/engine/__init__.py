"""From news text to a label with exact probabilities; knows nothing of queues or HTTP."""

import logging

# Before anything imports it: on a CPU it warns of kernels that it does without.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
