"""Networks made of models: twins, encoders with decoders, generators with their critics, and inputs of two kinds."""

import keras
from keras import layers as kl
from keras import ops

from tests.converters.architectures.architecture import Architecture


def twins() -> keras.Model:
    """One Sequential for both images, and the distance of what it gives."""
    eye = keras.Sequential(
        [keras.Input((12, 10, 1)), kl.Conv2D(4, 3, activation="relu"), kl.MaxPooling2D(), kl.Flatten(), kl.Dense(5)]
    )
    left, right = keras.Input((12, 10, 1)), keras.Input((12, 10, 1))
    return keras.Model([left, right], kl.Dense(1, activation="sigmoid")(ops.abs(eye(left) - eye(right))))


def triplet() -> keras.Model:
    image = keras.Input((12, 10, 3))
    features = kl.Dense(5)(kl.GlobalMaxPooling2D()(kl.Conv2D(4, 3, activation="relu")(image)))
    eye = keras.Model(image, kl.UnitNormalization()(features), name="eye of all")
    images = [keras.Input((12, 10, 3), name=name) for name in ("anchor", "same", "other")]
    anchor, same, other = (eye(x) for x in images)
    near, far = kl.Dot(axes=1)([anchor, same]), kl.Dot(axes=1, normalize=True)([anchor, other])
    return keras.Model(images, kl.Concatenate()([near, far, anchor]))


def autoencoder() -> keras.Model:
    image, code = keras.Input((8, 12, 1)), keras.Input((3,))
    x = kl.Flatten()(kl.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image))
    encoder = keras.Model(image, [kl.Dense(3, name="mean")(x), kl.Dense(3, name="log_variance")(x)], name="encoder")
    y = kl.Reshape((4, 6, 4))(kl.Dense(4 * 6 * 4, activation="relu")(code))
    y = kl.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(y)
    decoder = keras.Model(code, kl.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(y), name="decoder")
    seen = keras.Input((8, 12, 1))
    mean, log_variance = encoder(seen)
    return keras.Model(seen, [decoder(mean), mean, log_variance])


def generator_with_critic() -> keras.Model:
    """Two Sequentials in a third, one of them frozen."""
    generator = keras.Sequential(
        [
            keras.Input((5,)),
            kl.Dense(48, use_bias=False),
            kl.BatchNormalization(momentum=0.8),
            kl.LeakyReLU(),
            kl.Reshape((4, 3, 4)),
            kl.Conv2DTranspose(3, 5, strides=2, padding="same", use_bias=False),
            kl.Conv2DTranspose(1, 5, strides=1, padding="same", activation="tanh"),
        ],
        name="generator",
    )
    critic = keras.Sequential(
        [keras.Input((8, 6, 1)), kl.Conv2D(4, 5, strides=2, padding="same"), kl.LeakyReLU(), kl.Flatten(), kl.Dense(1)],
        name="critic",
    )
    critic.trainable = False
    return keras.Sequential([keras.Input((5,)), generator, critic])


def models_in_models() -> keras.Model:
    def block(name: str) -> keras.Model:
        inside = keras.Input((None, None, 4))
        row = keras.Sequential([kl.Conv2D(4, 3, padding="same"), kl.ReLU()], name="inner row")
        return keras.Model(inside, kl.Add()([inside, row(inside)]), name=name)

    image, wrapped = keras.Input((8, 12, 4)), keras.Input((8, 12, 4))
    x = block("second")(block("first")(image))
    return keras.Model(image, keras.Model(wrapped, block("third")(wrapped), name="wrap")(x))


def modulated_image() -> keras.Model:
    """Features scale and shift the channels of an image."""
    image, features = keras.Input((8, 12, 3)), keras.Input((4,))
    x = kl.Conv2D(6, 3, padding="same")(image)
    x = kl.Multiply()([x, kl.Reshape((1, 1, 6))(kl.Dense(6)(features))])
    return keras.Model([image, features], kl.Add()([x, kl.Dense(6)(features)]))


NETWORKS: dict[str, Architecture] = {
    "twins": Architecture(twins, ((12, 10, 1),) * 2),
    "triplet": Architecture(triplet, ((12, 10, 3),) * 3),
    "autoencoder": Architecture(autoencoder, ((8, 12, 1),)),
    "generator with critic": Architecture(generator_with_critic, ((5,),)),
    "models in models": Architecture(models_in_models, ((8, 12, 4),)),
    "modulated image": Architecture(modulated_image, ((8, 12, 3), (4,))),
}
