"""The architectures of published networks, each a few channels wide: what they join in which way is the point."""

from tests.converters.architectures import classification, detection, segmentation, several_models
from tests.converters.architectures.architecture import Architecture

__all__ = ["ARCHITECTURES", "Architecture"]

ARCHITECTURES: dict[str, Architecture] = {
    **segmentation.NETWORKS,
    **detection.NETWORKS,
    **classification.NETWORKS,
    **several_models.NETWORKS,
}
