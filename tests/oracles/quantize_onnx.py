"""Quantizes a float ONNX model with the tool of ONNX Runtime.

    quantize_onnx.py (QOperator|QDQ) MODEL SAMPLES RESULT   calibrate on float samples stored one behind the other
"""

import logging
import sys

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static


class Samples(CalibrationDataReader):
    """One sample after the other."""

    def __init__(self, model, path):
        port = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in port.shape]
        samples = np.fromfile(path, dtype=np.float32).reshape(-1, *shape)
        self.rest = iter([{port.name: sample} for sample in samples])

    def get_next(self):
        return next(self.rest, None)


def main(form, model, samples, result):
    logging.disable(logging.WARNING)
    quantize_static(model, result, Samples(model, samples), quant_format=QuantFormat[form])


if __name__ == "__main__":
    main(*sys.argv[1:])
