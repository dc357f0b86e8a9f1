"""Thresholds and limits of the steps, which get them with their configurations."""

SCORE_THRESHOLD = 0.3  # a detection must score more, unless the detector's entry or a request says otherwise
NMS_IOU = 0.6  # a box that overlaps a better one by more is dropped, unless a request says otherwise
OKS_NMS = 0.85  # of found people, one whose keypoints are more like a better one's is dropped, as with NMS_IOU
CROP_SCALE = 1.25  # how much larger than the box of a person its crop is
MAX_PIXELS = 2**27  # of an image, held against its header before anything is allocated
MAX_SIDE = 32766  # of an image, in pixels: OpenCV's warp takes no more
