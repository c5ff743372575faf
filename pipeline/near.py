"""Near-duplicates: all pairs of texts whose character 5-grams have a Jaccard index above a threshold.

Exact, not MinHash: two sets of n grams that share so many must share one of their n - ceil(t n) + 1
rarest (prefix filtering, Chaudhuri et al. 2006), and few texts share a rare gram. So an index of
those finds every candidate, and each is counted in full.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

GRAM = 5  # characters
ROUNDING = 1e-9  # .7 x 10 is a little more than 7


def near_pairs(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Pairs (earlier place, later place, index) of texts with a Jaccard index of at least `threshold`.

    Args:
        texts: as `pipeline.rows.key` makes them; an empty text is near to nothing.
        threshold: above 0, at most 1.
    """
    grams = [_grams(text) for text in texts]
    frequency = Counter(gram for own in grams for gram in own)
    rank = {gram: place for place, (gram, _) in enumerate(reversed(frequency.most_common()))}
    holders: dict[int, list[int]] = defaultdict(list)
    sets: list[set[int]] = []
    for later, own in enumerate(grams):
        ordered = sorted(rank[gram] for gram in own)
        prefix = ordered[: len(ordered) - math.ceil(threshold * len(ordered) - ROUNDING) + 1]
        sets.append(set(ordered))
        for earlier in sorted({place for gram in prefix for place in holders[gram]}):
            index = _jaccard(sets[earlier], sets[later], threshold)
            if index >= threshold:
                yield earlier, later, index
        for gram in prefix:
            holders[gram].append(later)


def _grams(text: str) -> set[str]:
    """A text shorter than a gram is its own."""
    return {text[at : at + GRAM] for at in range(max(1, len(text) - GRAM + 1))} if text else set()


def _jaccard(one: set[int], other: set[int], threshold: float) -> float:
    """0 for sets whose sizes alone rule the threshold out."""
    if min(len(one), len(other)) < threshold * max(len(one), len(other)):
        return 0.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
