"""Networks generated as Keras-style JSON: ready to be written with `json.dump`, converted and trained.

`models/generate.py` writes the project's own networks with these functions.
"""

from onnxgrid.zoo.convnet import convnet2d, dense_classifier2d
from onnxgrid.zoo.unet import unet2d

__all__ = ["convnet2d", "dense_classifier2d", "unet2d"]
