"""Models that were converted, back to Keras 3: a JSON of the network that it loads, and weights in its order.

`layers` and `operations` say what stands for each class, `graph` names and links it, `order` sorts it as Keras does.
"""

from converters.to_keras.model import KerasNetwork, to_keras, to_keras_json

__all__ = ["KerasNetwork", "to_keras", "to_keras_json"]
