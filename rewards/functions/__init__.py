"""One module a category. Importing one registers its functions."""

from rewards.functions import choice, form, maths, style, text

__all__ = ["choice", "form", "maths", "style", "text"]
