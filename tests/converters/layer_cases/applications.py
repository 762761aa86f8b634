"""Cases of layers that `keras.applications` brings along."""

import dataclasses

from keras import layers as kl
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from tests.converters.layer_cases.case import IMAGE, Case, class_name
from tests.converters.layer_cases.merge import branches

CASES: dict[str, dict[str, Case]] = {
    "LayerScale": {
        "an image": Case(lambda: LayerScale(0.3, 3, name="tested"), (IMAGE,), class_name("LayerScale")),
        "features": Case(lambda: LayerScale(0.3, 5, name="tested"), ((5,),), class_name("LayerScale")),
    },
    "StochasticDepth": {
        "an image": Case(
            lambda: [StochasticDepth(0.3, name="tested"), kl.ReLU()], (IMAGE,), class_name("StochasticDepth")
        )
    },
    "CustomScaleLayer": {
        "two images": Case(
            lambda: CustomScaleLayer(0.3, name="tested"), (IMAGE, IMAGE), class_name("CustomScaleLayer")
        ),
        "branches of one input": dataclasses.replace(
            branches(lambda: CustomScaleLayer(0.3, name="tested"), lambda: kl.Conv2D(4, 3), lambda: kl.Conv2D(4, 3)),
            edit=class_name("CustomScaleLayer"),
        ),
    },
}
