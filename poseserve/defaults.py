"""Thresholds and limits of the steps, which get them as parameters of their configurations."""

SCORE_THRESHOLD = 0.3  # a detection must score more, unless a request says otherwise
NMS_IOU = 0.6  # a box that overlaps a better one by more is dropped, unless a request says otherwise
CROP_SCALE = 1.25  # how much larger than the box of a person its crop is
MAX_PIXELS = 2**27  # of an image, held against its header before anything is allocated
MAX_SIDE = 32766  # of an image, in pixels: OpenCV's warp takes no more
