"""Training steps of Keras, one for each line on the standard input; `peer_steps.py` runs it.

Arguments: the backend, the precision, the file of the network (Keras 3 JSON), the shapes of inputs and targets in
Keras' order, and whether one processor must do. Writes the seconds of each step, wall-clock and of processors.
"""

import json
import os
import sys
import time

backend, precision, network, inputs, targets, alone = sys.argv[1:]
if alone == "alone":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts processors
os.environ.update(KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3")

import keras  # noqa: E402
import numpy as np  # noqa: E402


def main() -> None:
    keras.config.set_dtype_policy({"fp32": "float32", "bf16": "mixed_bfloat16"}[precision])
    with open(network) as file:
        model = keras.models.model_from_json(file.read())
    random = np.random.default_rng(0)
    x, y = (random.standard_normal(json.loads(shape), np.float32) for shape in (inputs, targets))
    model.compile(optimizer=keras.optimizers.SGD(1e-6), loss="mean_squared_error")
    for _order in sys.stdin:
        began, cpu_began = time.perf_counter(), time.process_time()
        float(model.train_on_batch(x, y))
        print(time.perf_counter() - began, time.process_time() - cpu_began, flush=True)


main()
