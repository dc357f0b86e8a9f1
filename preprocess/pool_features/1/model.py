"""pool_features: the features of an image, and their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from responses import respond


class TritonPythonModel:
    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        features = inputs["FEATURE_MAP"][0]
        return {"FEATURES": features, "POOLED": features.mean((1, 2), dtype=np.float32)}
