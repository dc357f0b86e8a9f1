"""crop_people: from detections, or from the client's boxes, to one crop per person."""

import json
import traceback

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils
from boxes import checked_boxes, detected_boxes
from crops import crop, regions
from options import parse_options
from suppression import suppress


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        # "HxW" -> people that the networks of that input size take at once; without crops, all that a detector finds.
        self._max_people = json.loads(config["parameters"]["max_people"]["string_value"])
        self._most = next(int(tensor["dims"][0]) for tensor in config["input"] if tensor["name"] == "DETECTIONS")
        self._sizes = {  # "HxW" -> H, W: one for every input size in use
            output["name"].removeprefix("CROPS_"): (int(output["dims"][1]), int(output["dims"][2]))
            for output in config["output"]
            if output["name"].startswith("CROPS_")
        }
        cv2.setNumThreads(1)  # instances, not threads, fill the cores

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
        wanted = set(request.requested_output_names())
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        if not inputs.keys() & {"PIXELS", "SIZE"}:
            raise ValueError("PIXELS are missing; SIZE is accepted in their stead where no crops are wanted")
        shape = inputs["PIXELS"].shape[:2] if "PIXELS" in inputs else inputs["SIZE"].tolist()
        sizes = {size for size in self._sizes if wanted & {f"CROPS_{size}", f"REGIONS_{size}"}}
        limit = min((self._max_people[size] for size in sizes), default=self._most)
        boxes, scores, found = self._people(inputs, *shape, json.loads(request.parameters() or "{}"), limit)
        outputs = {
            "BOXES": boxes.astype(np.float32),
            "SCORES": scores,
            "PEOPLE_FOUND": np.array([found], np.int32),
        }
        for size in sizes:
            crops_name, regions_name = f"CROPS_{size}", f"REGIONS_{size}"
            height, width = self._sizes[size]
            # A network takes no tensor without rows: one region without area stands for nobody.
            people = regions(boxes, width / height) if len(boxes) else np.zeros((1, 4))
            outputs[regions_name] = people.astype(np.float32)
            if crops_name in wanted:
                if "PIXELS" not in inputs:
                    raise ValueError(f"{crops_name} need PIXELS")
                outputs[crops_name] = crop(inputs["PIXELS"], people, height, width)
        return {name: array for name, array in outputs.items() if name in wanted}

    def _people(self, inputs, height, width, parameters, limit):
        """Boxes [n, 4] of at most `limit` people, scores f32 [n], and how many there were before that cut the list."""
        given = inputs.keys() - {"PIXELS", "SIZE"}
        if not given:  # the whole image is one person
            return np.array([[0, 0, width, height]], np.float64), np.ones(1, np.float32), 1
        if given == {"BOXES"}:
            boxes = checked_boxes(inputs["BOXES"], height, width, limit)
            return boxes, np.ones(len(boxes), np.float32), len(boxes)
        if given != {"DETECTIONS", "SCALE"}:
            names = ", ".join(sorted(given))
            raise ValueError(f"beside the image: {names}; accepted are BOXES, DETECTIONS and SCALE, or nothing")
        options = parse_options(parameters, limit)
        boxes, scores = detected_boxes(inputs["DETECTIONS"], inputs["SCALE"], height, width, options.score_threshold)
        kept = suppress(boxes, options.nms_iou)
        best = kept[: options.max_people]
        return boxes[best], scores[best], len(kept)


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
