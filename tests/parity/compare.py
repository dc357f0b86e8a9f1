"""Our detectors beside mmdet's own, filled alike: run by test_mmdet.py with a Python that has mmdet.

The first argument says what is compared. Prints the largest differences as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from poseserve.export.torchscript import export
from poseserve.families import mmdet, rtmdet
from poseserve.families.boxes import best_rows
from poseserve.networks.contracts import DetectorContract, Normalise
from tests import golden

SIZE = 320
PIXELS = torch.from_numpy(golden.image(2, SIZE, SIZE))


def person_config(base: str, folder: Path) -> Path:
    """A config of the wheel for one class, whose answer is the 100 best boxes before suppression."""
    path = folder / "config.py"
    path.write_text(
        f"_base_ = {str(Path(find_spec('mmdet').origin).parent / '.mim' / 'configs' / base)!r}\n"
        "test = dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=None, max_per_img=100)\n"
        "model = dict(bbox_head=dict(num_classes=1), test_cfg=dict(_delete_=True, **test))\n"
    )
    return path


def fill(network: nn.Module, images: Tensor) -> None:
    """Random weights, and norms that fit the images, so that answers differ from cell to cell."""
    torch.manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif name.endswith("bias"):
            nn.init.constant_(parameter, 1.0 if "reg" in name else 0.0)  # distances must not be negative
    for module in network.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.__class__ = nn.BatchNorm2d  # the other trains on GPUs only
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
    network(images)
    network.eval()


def prepared(model: nn.Module) -> dict:
    """The images as mmdet's own preprocessing hands them to its network."""
    from mmdet.structures import DetDataSample  # after families/mmdet.py has stood in for the operators

    samples = [DetDataSample(metainfo={"img_shape": (SIZE, SIZE), "scale_factor": (1.0, 1.0)}) for _ in PIXELS]
    return model.data_preprocessor(
        {"inputs": [image.permute(2, 0, 1).flip(0) for image in PIXELS], "data_samples": samples}
    )


def boxes_and_scores(rows: Tensor, model: nn.Module) -> dict[str, Tensor]:
    """`rows` f32 [B, 100, 5] less mmdet's own answer."""
    found = [sample.pred_instances for sample in model(**prepared(model), mode="predict")]
    expected = torch.stack([torch.cat([f.bboxes, f.scores[:, None]], 1) for f in found])
    assert rows.shape == expected.shape, f"mmdet answers {list(expected.shape)}"
    return {"boxes": rows[..., :4] - expected[..., :4], "scores": rows[..., 4] - expected[..., 4]}


def compare_rtmdet(folder: Path) -> dict[str, Tensor]:
    """The plain RTMDet-m with mmdet's, tensor by tensor."""
    theirs = mmdet.official(person_config("rtmdet/rtmdet_m_8xb32-300e_coco.py", folder))
    ours, decode = rtmdet.build("m", "detector", 1).eval(), rtmdet.Decode((SIZE, SIZE))
    images = Normalise()(PIXELS).contiguous()
    fill(ours, images)
    theirs.load_state_dict(ours.state_dict())
    raw, inputs = ours(images), prepared(theirs)["inputs"]
    classes, distances = theirs(inputs, mode="tensor")
    rows = best_rows(*decode.boxes(raw), SIZE, SIZE, iou=1.0)
    return {
        "images": images.flip(1) - inputs,
        "logits": raw[..., :1] - mmdet.rows(classes),
        "distances": raw[..., 1:].exp() * decode.strides - mmdet.rows(distances),
        **boxes_and_scores(rows, theirs),
    }


def compare_export(base: str, folder: Path) -> dict[str, Tensor]:
    """A detector as families/mmdet.py and export make it from config and checkpoint, with mmdet's own."""
    config = person_config(base, folder)
    theirs = mmdet.official(config)
    fill(theirs, prepared(theirs)["inputs"])
    checkpoint, file = folder / "checkpoint.pth", folder / "model.pt"
    torch.save({"meta": {}, "state_dict": theirs.state_dict()}, checkpoint)
    contract = DetectorContract.around(mmdet.load(config, checkpoint, input_size=(SIZE, SIZE)))
    export(contract, (PIXELS,), file)
    ours = torch.jit.load(str(file))
    raw = ours.network(ours.normalise(PIXELS).contiguous())
    return boxes_and_scores(best_rows(raw[..., :4], raw[..., 4], SIZE, SIZE, iou=1.0), theirs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    what = sys.argv[1]
    with torch.no_grad(), tempfile.TemporaryDirectory() as name:
        differences = compare_rtmdet(Path(name)) if what == "rtmdet" else compare_export(what, Path(name))
    print(json.dumps({name: value.abs().max().item() for name, value in differences.items()}))
