"""ResNet152 from `resnet152.json` and `resnet152.weights.h5` to ONNX with another exporter; `convert_speed.py` runs it.

Runs in a Python that has the exporter. Where Keras 2 cannot read those files, the network has first values.
"""

import os
import sys

import numpy as np


def export_with_keras(backend: str) -> None:
    os.environ["KERAS_BACKEND"] = backend
    import keras

    with open("resnet152.json") as file:
        model = keras.models.model_from_json(file.read())
    model.load_weights("resnet152.weights.h5")
    model(np.zeros((1, 224, 224, 3), np.float32))  # Keras exports what was called
    model.export("peer.onnx", format="onnx", verbose=False)


def export_with_tf2onnx() -> None:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    import tf2onnx
    import tf_keras

    model = tf_keras.applications.ResNet152(weights=None)
    signature = [tf.TensorSpec((None, 224, 224, 3), tf.float32)]
    tf2onnx.convert.from_keras(model, input_signature=signature, opset=17, output_path="peer.onnx")


if __name__ == "__main__":
    if sys.argv[1] == "tf2onnx":
        export_with_tf2onnx()
    else:
        export_with_keras(sys.argv[1].removeprefix("keras-"))
