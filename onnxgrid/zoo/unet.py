"""A U-Net that grows at the top: with one level more, all the others keep their names and shapes, so their weights.

Levels are numbered from the bottom, so that a network for twice the resolution has one more at the top. Levels 1 and 2,
with what joins them in between:

    image ----> stem_2 --------> encode_2 -> join_2 -> decode_2 -> head_2 -> + -> correction_2
      | shrink_2                    | pool_2   | up_2                        | lift_2
      |                             | down_2   |                             |
    image_1 --> stem_1 --> + --> encode_1 -> join_1 -> decode_1 -> head_1 -> + -> correction_1

Each level sees the image at its own resolution, and adds its correction to that of the level below. What a new level
gives to the old ones, `down` and `head`, begins at zero: grown around trained levels, the network starts as they were
on the shrunk image, with their correction enlarged.
"""

from typing import Any

from onnxgrid.zoo.keras_network import ZEROS, KerasNetwork

__all__ = ["unet2d"]


def unet2d(
    input_shape: tuple[int, int, int] = (16, 16, 1),
    depth: int = 2,
    *,
    bottom_channels: int = 32,
    least_channels: int = 8,
) -> dict[str, Any]:
    """A U-Net that corrects an image: its output, of the input's shape, is the input plus what the U makes of it.

    Transplanting from `depth` to `depth + 1` carries every weight; the new layers end in the number of the new level.

    Args:
        input_shape: (height, width, channels).
        depth: the number of levels, the bottom included.
        bottom_channels: features of level 0; each level above has half as many as the one below.
        least_channels: features that a level has at least.

    Raises:
        ValueError: if there is no level, or height or width cannot be halved `depth - 1` times.
    """
    height, width, channels = input_shape
    top = depth - 1
    if depth < 1:
        raise ValueError(f"a U-Net of depth {depth} has no level")
    if height % 2**top or width % 2**top:
        raise ValueError(f"an image of {height} x {width} cannot be halved {top} times, as a depth of {depth} asks")
    features = [max(bottom_channels >> level, least_channels) for level in range(depth)]
    network = KerasNetwork("unet2d", input_shape)

    image, from_above = network.input, None
    skips = []
    for level in range(top, -1, -1):
        x = network.conv2d(image, f"stem_{level}", features[level], 3)
        if from_above is not None:
            x = network.add([x, from_above], f"meet_{level}")
        x = _block(network, x, f"encode_{level}", features[level])
        if level > 0:
            skips.append(x)
            # The mean over 2 x 2 pixels and all channels, to begin with.
            mean = {"class_name": "Constant", "config": {"value": 0.25 / channels}}
            image = network.conv2d(
                image, f"shrink_{level}", channels, 2, stride=2, use_bias=False, kernel_initializer=mean
            )
            pooled = network.max_pooling2d(x, f"pool_{level}", 2)
            from_above = network.conv2d(
                pooled, f"down_{level}", features[level - 1], 1, use_bias=False, kernel_initializer=ZEROS
            )

    correction = network.conv2d(x, "head_0", channels, 1, kernel_initializer=ZEROS)
    for level in range(1, depth):
        x = network.conv2d_transpose(x, f"up_{level}", features[level], 2)
        x = network.concatenate([x, skips.pop()], f"join_{level}")
        x = _block(network, x, f"decode_{level}", features[level])
        head = network.conv2d(x, f"head_{level}", channels, 1, kernel_initializer=ZEROS)
        lifted = network.up_sampling2d(correction, f"lift_{level}", 2)
        correction = network.add([lifted, head], f"correction_{level}")
    return network.to_json(network.add([network.input, correction], "output"))


def _block(network: KerasNetwork, x: str, name: str, filters: int) -> str:
    """Add convolution, normalization and ReLU; return the last layer."""
    x = network.conv2d(x, f"{name}_conv", filters, 3, use_bias=False)
    x = network.batch_normalization(x, f"{name}_norm")
    return network.relu(x, f"{name}_relu")
