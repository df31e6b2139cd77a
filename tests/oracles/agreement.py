"""Makes what `cargo xtask agreement` compares.

    agreement.py pictures MODEL                  an ONNX model that answers with its picture, [1, 32, 32, 3]
    agreement.py samples SHARED PICTURES FOLDER  NAME.calib and NAME.in of every model, of floats: for IC the
                                                 pictures in PICTURES.calib and PICTURES.in, for VWW these
                                                 enlarged, and ic_converted.in of bytes
    agreement.py quantize FOLDER NAME=MODEL...   quantizes NAME on FOLDER/NAME.calib with ONNX Runtime's tool, in
                                                 every way that is compared, to FOLDER/NAME_FORM_TYPE_SCALES.onnx
"""

import sys
from pathlib import Path

import numpy as np
import quantize_onnx

# Formats, types of activations, scales of weights.
WAYS = [(form, *how) for form in ("QOperator", "QDQ") for how in (("QUInt8", "tensor"), ("QInt8", "channel"))]

CALIBRATION = 60
TESTED = 200


def pictures(path):
    from onnx import TensorProto, helper, save

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 32, 32, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "pictures", ports[:1], ports[1:])
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), path)


def enlarged(images):
    """Every pixel three times in both directions, and its values from 0 to 1."""
    return images.repeat(3, axis=1).repeat(3, axis=2) * np.float32(1 / 255)


def samples(shared, source, folder):
    data = Path(shared) / "data"
    keywords = np.load(data / "kws/test_inputs_f32.npy").astype(np.float32)
    frames = np.fromfile(data / "anomaly/normal_id_01_f32_le.bin", dtype="<f4").reshape(-1, 128)
    windows = np.stack([frames[i : i + 5].ravel() for i in range(len(frames) - 4)])
    images = [np.fromfile(f"{source}.{part}", dtype="<f4").reshape(-1, 32, 32, 3) for part in ("calib", "in")]
    # The file from TensorFlow takes bytes around 0.
    (images[1] - 128).tofile(Path(folder) / "ic_converted.in")
    # One sound is all there is: what calibrates is tested, too.
    parts = {
        "kws": (keywords[:CALIBRATION], keywords[CALIBRATION : CALIBRATION + TESTED]),
        "ic": images,
        "vww": [enlarged(part) for part in images],
        "ad": (windows[:CALIBRATION], windows[:TESTED]),
    }
    for name, pair in parts.items():
        for part, values in zip(("calib", "in"), pair):
            np.ascontiguousarray(values, dtype="<f4").tofile(Path(folder) / f"{name}.{part}")


def quantize(folder, *models):
    for name, model in (pair.split("=", 1) for pair in models):
        for way in WAYS:
            result = Path(folder) / f"{'_'.join((name, *way))}.onnx"
            quantize_onnx.main(*way, model, str(Path(folder) / f"{name}.calib"), str(result))


if __name__ == "__main__":
    {"pictures": pictures, "samples": samples, "quantize": quantize}[sys.argv[1]](*sys.argv[2:])
