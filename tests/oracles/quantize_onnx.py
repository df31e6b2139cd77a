"""Quantizes a float ONNX model with the tool of ONNX Runtime.

    quantize_onnx.py (QOperator|QDQ) (QUInt8|QInt8) (tensor|channel|unsigned) MODEL SAMPLES RESULT

calibrates on float samples stored one behind the other. The type is that of activations; weights are of QInt8, with
one scale for a tensor or one for each channel, or of QUInt8 around any number, with one scale.
"""

import logging
import sys

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class Samples(CalibrationDataReader):
    """One sample after the other."""

    def __init__(self, model, path):
        port = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in port.shape]
        samples = np.fromfile(path, dtype=np.float32).reshape(-1, *shape)
        self.rest = iter([{port.name: sample} for sample in samples])

    def get_next(self):
        return next(self.rest, None)


def main(form, activations, scales, model, samples, result):
    logging.disable(logging.WARNING)
    quantize_static(
        model,
        result,
        Samples(model, samples),
        quant_format=QuantFormat[form],
        activation_type=QuantType[activations],
        weight_type=QuantType.QUInt8 if scales == "unsigned" else QuantType.QInt8,
        per_channel=scales == "channel",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
