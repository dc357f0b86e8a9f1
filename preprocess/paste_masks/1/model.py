"""paste_masks: the parts of people, or of the whole image, as one mask of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from paste import paste
from png import encode
from responses import named_set, respond


class TritonPythonModel:
    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        parts, regions = inputs["PARTS"], inputs["REGIONS"]
        if "KEPT_INDICES" in inputs:
            parts, regions = parts[inputs["KEPT_INDICES"]], regions[inputs["KEPT_INDICES"]]
        height, width = inputs["SIZE"].tolist()
        mask, instance_ids = paste(parts, regions, height, width)
        wanted = request.requested_output_names()
        outputs: dict[str, NDArray[Any]] = {"MASK": mask, "INSTANCE_IDS": instance_ids}
        outputs |= named_set(wanted, "CLASS_SET_")
        if "MASK_PNG" in wanted:
            outputs["MASK_PNG"] = np.array([encode(mask)], dtype=object)
        return outputs
