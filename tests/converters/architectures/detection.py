"""Networks that find objects: heads on images of several sizes, whose results stand in rows."""

import keras
from keras import layers as kl

from tests.converters.architectures.architecture import Architecture
from tests.converters.architectures.blocks import Image, conv_bn


def dark(x: Image, filters: int, kernel: int, strides: int = 1) -> Image:
    if strides == 2:
        x = kl.ZeroPadding2D(((1, 0), (1, 0)))(x)
    padding = "valid" if strides == 2 else "same"
    x = kl.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False, kernel_regularizer="l2")(x)
    return kl.LeakyReLU(negative_slope=0.1)(kl.BatchNormalization()(x))


def yolo() -> keras.Model:
    """Residual blocks, then three heads whose cells of all sizes stand one below the other."""
    image = keras.Input((None, None, 3))
    x, stages = dark(image, 4, 3), []
    for filters in (4, 6, 8):
        x = dark(x, filters, 3, 2)
        x = kl.Add()([x, dark(dark(x, filters // 2, 1), filters, 3)])
        stages.append(x)
    heads, lifted = [], None
    for stage in stages[::-1]:
        joined = stage if lifted is None else kl.Concatenate()([lifted, stage])
        y = dark(joined, 4, 1)
        heads.append(kl.Reshape((-1, 255))(kl.Conv2D(255, 1)(dark(y, 6, 3))))
        lifted = kl.UpSampling2D(2)(dark(y, 4, 1))
    return keras.Model(image, kl.Concatenate(axis=1)(heads))


def single_shot() -> keras.Model:
    image = keras.Input((32, 32, 3))
    x, places, classes = conv_bn(image, 6, 3, 2), [], []
    for level, kernel in enumerate((3, 3, 2)):
        x = conv_bn(x, 6, kernel, 2 if kernel == 3 else 1)
        places.append(kl.Reshape((-1, 4), name=f"loc{level}")(kl.Conv2D(8, 3, padding="same")(x)))
        classes.append(kl.Reshape((-1, 6), name=f"conf{level}")(kl.Conv2D(12, 3, padding="same")(x)))
    place = kl.Concatenate(axis=1, name="mbox_loc")(places)
    kind = kl.Activation("softmax")(kl.Concatenate(axis=1)(classes))
    return keras.Model(image, [place, kind, kl.Concatenate(axis=2, name="predictions")([kind, place])])


def shared_head() -> keras.Model:
    """One model that is called on images of three sizes."""
    x = image = keras.Input((32, 32, 3))
    levels = []
    for _level in range(3):
        x = conv_bn(x, 6, 3, 2)
        levels.append(x)
    features = keras.Input((None, None, 6))
    y = kl.Conv2D(6, 3, padding="same", activation="relu")(features)
    y = kl.Conv2D(8, 3, padding="same", bias_initializer=keras.initializers.Constant(-4.6))(y)
    head = keras.Model(features, kl.Activation("sigmoid")(kl.Reshape((-1, 4))(y)), name="classification_submodel")
    return keras.Model(image, kl.Concatenate(axis=1, name="classification")([head(level) for level in levels]))


NETWORKS: dict[str, Architecture] = {
    "YOLO": Architecture(yolo, ((32, 48, 3),), raw_outputs=True),
    "single shot": Architecture(single_shot, ((32, 32, 3),), raw_outputs=True),
    "one head for three sizes": Architecture(shared_head, ((32, 32, 3),), raw_outputs=True),
}
