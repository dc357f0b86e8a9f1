"""collect_people: the people that the pose network saw, without the row that stands for nobody."""

import json
import traceback

import numpy as np
import triton_python_backend_utils as pb_utils
from oks import USUAL_SIGMA, parse_oks_nms, select, similarity
from people import collect, pose_scores


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        # Number of keypoints -> sigmas: people's poses do not say of which set they are.
        self._sigmas = {int(k): np.array(v) for k, v in json.loads(parameters["oks_sigmas"]["string_value"]).items()}

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        try:
            outputs = self._outputs(request)
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
        except ValueError as error:  # what the client sent
            return _failure(str(error), pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # a request must not take its neighbours down
            pb_utils.Logger.log_error(traceback.format_exc())
            return _failure(repr(error), pb_utils.TritonError.INTERNAL)

    def _outputs(self, request):
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        regions, boxes = inputs["REGIONS"], inputs["BOXES"]
        keypoints = collect(regions, inputs["POSES"])
        if len(keypoints) != len(boxes):
            raise ValueError(
                f"BOXES has {len(boxes)} rows, REGIONS {len(keypoints)} with an area; accepted are as many"
            )
        scores = pose_scores(inputs["SCORES"], keypoints)
        most = parse_oks_nms(json.loads(request.parameters() or "{}"))
        kept = np.arange(len(boxes))
        if most < 1 and len(boxes) > 1:
            sigmas = self._sigmas.get(keypoints.shape[1], np.full(keypoints.shape[1], USUAL_SIGMA))
            kept = select(similarity(keypoints, regions[:, 2:].prod(1), sigmas), scores, most)
        outputs = {"BOXES": boxes, "SCORES": inputs["SCORES"], "KEYPOINTS": keypoints, "POSE_SCORES": scores}
        outputs = {name: array[kept] for name, array in outputs.items()} | {"KEPT_INDICES": kept.astype(np.int32)}
        return {name: array for name, array in outputs.items() if name in request.requested_output_names()}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
