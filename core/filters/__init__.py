"""Selectors: SQL92 conditions over the properties of a message.

    text ── lexer ──▶ tokens ── parser ──▶ syntax ── evaluator ──▶ a function of the properties

`selector.py` is what others use. A property is whatever a look-up by name returns: this package
knows no message.
"""
