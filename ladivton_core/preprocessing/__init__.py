"""Preprocessing stage (paper section 3.1): labels, joints, pose map, agnostic person. Start at `agnostic.py`."""

from .framing.fitting import Fit, fit_image
from .garment.garment import garment_on_white, garment_picture_on_white, worn_garment
from .labels import ATR18, CATEGORIES, LABEL_SETS, LIP20, Category, LabelSet, Regions
from .masks.agnostic import agnostic_image, agnostic_mask
from .masks.regions import region_mask
from .pose.keypoints import (
    BODY25_TO_COCO18,
    COCO18,
    coco18_from_body25,
    keypoints_from_dresscode,
    keypoints_from_openpose,
    keypoints_from_people,
)
from .pose.pose_map import heat_maps, pose_map

__all__ = [
    "ATR18",
    "BODY25_TO_COCO18",
    "CATEGORIES",
    "COCO18",
    "LABEL_SETS",
    "LIP20",
    "Category",
    "Fit",
    "LabelSet",
    "Regions",
    "agnostic_image",
    "agnostic_mask",
    "coco18_from_body25",
    "fit_image",
    "garment_on_white",
    "garment_picture_on_white",
    "heat_maps",
    "keypoints_from_dresscode",
    "keypoints_from_openpose",
    "keypoints_from_people",
    "pose_map",
    "region_mask",
    "worn_garment",
]
