"""An article's claims on market makers, put to the test: `python -m evaluate article`."""

from evaluate.article.command import find_all, main

__all__ = ["find_all", "main"]
