"""Characters that are read alike: traditional as simplified, full width as half width, capitals as small.

The table becomes part of the tokenizer (its `Precompiled` normalizer), so serving needs nothing for it. Its
form is SentencePiece's: a double array (Aoe 1989; the layout of its units is darts-clone's) over UTF-8
bytes, and the replacements behind it.
"""

import string
import struct
from collections.abc import Mapping

from shared.errors import RecipeError

FULL_WIDTH = 0xFEE0  # code points between a letter and its full-width form
SIGNS = "#$%&+-./@0123456789"  # Chinese punctuation stays full width
HAN = range(0x4E00, 0xA000)
LEAF, VALUE = 1 << 8, 1 << 31
PLACES = 1 << 21  # as far as a unit can point without its extension bit


def folds() -> dict[str, str]:
    """Character -> the character that it is read as."""
    wide = {chr(ord(c) + FULL_WIDTH): c.lower() for c in string.ascii_letters + SIGNS}
    return simplified() | {c: c.lower() for c in string.ascii_uppercase} | wide


def simplified() -> dict[str, str]:
    """Traditional character -> simplified, as OpenCC (Apache-2.0) has them.

    Raises:
        RecipeError: the package is not installed.
    """
    try:
        from opencc import OpenCC
    except ImportError:
        raise RecipeError(
            "the recipe folds characters: pip install -r requirements-train.txt -c constraints.txt"
        ) from None
    convert = OpenCC("t2s").convert
    pairs = ((chr(code), convert(chr(code))) for code in HAN)
    return {one: other for one, other in pairs if one != other and len(other) == 1}


def charsmap(table: Mapping[str, str]) -> bytes:
    """The table as `Precompiled` reads it: length of the array in bytes, array, replacements."""
    replacements, places = bytearray(), {}
    for character, replacement in sorted(table.items()):
        places[character.encode()] = len(replacements)
        replacements += replacement.encode() + b"\0"
    units = double_array(places)
    return struct.pack(f"<{len(units) + 1}I", 4 * len(units), *units) + bytes(replacements)


def double_array(values: Mapping[bytes, int]) -> list[int]:
    """Units of a trie over `values`' keys, none of which may begin another.

    The child by byte c of the unit at p is at p ^ offset ^ c and carries c; a key's end has a child by 0,
    which carries the value.
    """
    following: dict[bytes, set[int]] = {}
    for key in values:
        for depth in range(len(key)):
            following.setdefault(key[:depth], set()).add(key[depth])
    units, bases, waiting, lowest = {0: 0}, set[int](), [(0, b"")], 1
    while waiting:
        place, prefix = waiting.pop()
        children = following.get(prefix, {0})
        while lowest in units:
            lowest += 1
        base = next(
            b for b in range(lowest, PLACES) if b not in bases and not any(b ^ c in units for c in children)
        )
        bases.add(base)
        units[place] |= (place ^ base) << 10
        if prefix in values:
            units[place] |= LEAF
            units[base] = VALUE | values[prefix]
        else:
            units |= {base ^ c: c for c in children}
            waiting += [(base ^ c, prefix + bytes([c])) for c in sorted(children)]
    return [units.get(place, 0) for place in range((max(units) | 0xFF) + 1)]  # a unit for every byte
