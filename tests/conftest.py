"""Keras is an oracle of the tests; it runs on torch, and must be told so before it is imported."""

import os

os.environ["KERAS_BACKEND"] = "torch"
