"""Hostile inputs for `tests/fuzz.py`, one module per kind of input.

A kind is a generator and a law: the strategy ``cases`` draws a ``Case``, a few words and numbers whose repr can be
pasted into a test, and ``law(case)`` builds the input and gives it to the package. It returns where the package did,
raises `Broken` where the result is wrong, and lets through what the package raises. `judge` says what that amounts to.
"""
