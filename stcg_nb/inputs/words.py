"""Content words and function words."""

from __future__ import annotations

# Articles, prepositions, pronouns, auxiliaries, conjunctions and question words: the closed classes of Quirk et al. 1985, as far as
# they occur in questions.
FUNCTION_WORDS = frozenset(
    """
    a an the this that these those it its he she they you i we me him her them us your my their our there here
    of in on at to from by with for into onto over under above below between behind beside near left right
    is are was were be been am do does did has have had can could will would shall should may might must
    and or but not no nor than then as if so what which who whom whose where when why how
    """.split()  # noqa: SIM905
)


def is_content(word: str) -> bool:
    """Whether a word is a content word, that is, not one of `FUNCTION_WORDS`.

    "left", "right", "above" and "below" count as prepositions, as in "left of".

    >>> [is_content(w) for w in ("What", "color", "is", "the", "car")]
    [False, True, False, False, True]
    """
    return word.lower() not in FUNCTION_WORDS
