"""Networks that give a vector: of images, of signals, of patches; and those that weigh channels and places."""

import keras
from keras import layers as kl
from keras import ops

from tests.converters.architectures.architecture import Architecture


def signal_resnet() -> keras.Model:
    signal = keras.Input((None, 2))
    x = kl.MaxPooling1D(3, 2, padding="same")(kl.Conv1D(6, 7, strides=2, padding="same")(signal))
    for block in (1, 2):
        shortcut = kl.Conv1D(6 * block, 1, strides=block)(x)
        y = kl.ReLU()(kl.BatchNormalization()(kl.Conv1D(6 * block, 3, strides=block, padding="same")(x)))
        y = kl.BatchNormalization()(kl.SeparableConv1D(6 * block, 3, padding="same")(y))
        x = kl.SpatialDropout1D(0.1)(kl.ReLU()(kl.add([y, shortcut])))
    return keras.Model(signal, kl.Dense(3, activation="softmax")(kl.GlobalAveragePooling1D()(x)))


def causal_convolutions() -> keras.Model:
    x = signal = keras.Input((40, 2))
    for dilation in (1, 2, 4):
        y = kl.Conv1D(4, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        x = kl.add([y, kl.Conv1D(4, 1)(x)])
    return keras.Model(signal, kl.Flatten()(kl.Cropping1D((38, 0))(x)))


def patch_mixer() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = kl.Reshape((16, 6))(kl.Conv2D(6, 4, strides=4)(image))
    for _block in range(2):
        y = kl.Permute((2, 1))(kl.LayerNormalization(epsilon=1e-6)(x))
        y = kl.Dense(16)(kl.Dense(8, activation="gelu")(y))
        x = kl.Add()([x, kl.Permute((2, 1))(y)])
        x = kl.Add()([x, kl.Dense(6)(kl.Dense(12, activation="gelu")(kl.LayerNormalization()(x)))])
    return keras.Model(image, kl.Dense(3)(kl.GlobalAveragePooling1D()(kl.LayerNormalization()(x))))


def convolution_mixer() -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = kl.BatchNormalization()(kl.Activation("gelu")(kl.Conv2D(6, 2, 2)(kl.Rescaling(1 / 255)(image))))
    for _block in range(2):
        y = kl.BatchNormalization()(kl.Activation("gelu")(kl.DepthwiseConv2D(5, padding="same")(x)))
        x = kl.BatchNormalization()(kl.Activation("gelu")(kl.Conv2D(6, 1)(kl.Add()([y, x]))))
    return keras.Model(image, kl.Dense(3, activation="softmax")(kl.GlobalAveragePooling2D()(x)))


def shuffled_channels() -> keras.Model:
    image = keras.Input((16, 12, 4))
    x = kl.Reshape((16, 12, 2, 3))(kl.Conv2D(6, 1, groups=2)(image))
    x = kl.Reshape((16, 12, 6))(kl.Permute((1, 2, 4, 3))(x))
    return keras.Model(image, kl.Conv2D(8, 1, groups=2)(kl.DepthwiseConv2D(3, padding="same")(x)))


def weighed_channels_and_places() -> keras.Model:
    image = keras.Input((None, None, 6))
    narrow, wide = kl.Dense(2, activation="relu"), kl.Dense(6)
    pooled = [kl.GlobalAveragePooling2D()(image), kl.GlobalMaxPooling2D()(image)]
    channels = kl.Activation("sigmoid")(kl.Add()([wide(narrow(x)) for x in pooled]))
    x = kl.Multiply()([image, kl.Reshape((1, 1, 6))(channels)])
    over_channels = [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
    places = kl.Conv2D(1, 7, padding="same", activation="sigmoid")(kl.Concatenate()(over_channels))
    return keras.Model(image, kl.Multiply()([x, places]))


def columns_of_text() -> keras.Model:
    """Columns of an image as steps of a sequence."""
    image = keras.Input((10, 14, 1))
    x = kl.MaxPooling2D((2, 1))(kl.Conv2D(4, 3, padding="same", activation="relu")(image))
    x = kl.Reshape((14, 20))(kl.Permute((2, 1, 3))(x))
    return keras.Model(image, kl.Dense(5, activation="softmax")(kl.Dense(6, activation="relu")(x)))


NETWORKS: dict[str, Architecture] = {
    "ResNet of signals": Architecture(signal_resnet, ((41, 2),)),
    "causal convolutions": Architecture(causal_convolutions, ((40, 2),)),
    "mixer of patches": Architecture(patch_mixer, ((16, 16, 3),)),
    "mixer of convolutions": Architecture(convolution_mixer, ((16, 16, 3),)),
    "shuffled channels": Architecture(shuffled_channels, ((16, 12, 4),)),
    "weighed channels and places": Architecture(weighed_channels_and_places, ((9, 12, 6),)),
    "columns of text": Architecture(columns_of_text, ((10, 14, 1),), raw_outputs=True),
}
