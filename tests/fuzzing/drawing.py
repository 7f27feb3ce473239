"""How strange the inputs are."""

from hypothesis import strategies as st


def mostly(usual, strange, share=0.9):
    """One of the usual values or, in about one of ten draws, a strange one."""
    times = round(share / (1 - share) * len(strange) / len(usual))
    return st.sampled_from([*list(usual) * times, *strange, *usual])  # hypothesis likes both ends of a list
