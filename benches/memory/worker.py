"""Runs single jobs in worker processes of their own and tells what they report."""

import json
import subprocess
import tempfile
from pathlib import Path


def infer(program, runtime, data, model, chunk, threads=2, facts=None, memory=None):
    """Runs `infer` once. Gives the last message of the worker, the forecast, and what was learnt."""
    with tempfile.TemporaryDirectory(dir=Path(data).parent) as staging:
        job = {
            "task": "infer", "kind": "infer", "point": {}, "params": {"chunk": chunk}, "seed": 0,
            "inputs": {"data": [source(data)], "model": [source(model)]},
            "outputs": {"patches": "patches.npz"}, "staging": staging, "threads": threads, "device": "cpu",
            "memory": memory, "timeout_s": None, "facts": facts or {}, "runtime": str(runtime),
        }
        # A group of its own: a worker whose orchestrator goes away ends its whole group.
        worker = subprocess.Popen([program, "worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  start_new_session=True)
        worker.stdin.write(json.dumps({"run": job}) + "\n")
        worker.stdin.flush()
        told = {"facts": {}, "measures": {}}
        for line in worker.stdout:
            message = json.loads(line)
            match message.get("report") or message["type"]:
                case "chunk":
                    told |= {"chunk": message["size"], "predicted": message["predicted_peak"]}
                case "learnt":
                    told["facts"][message["key"]] = message["value"]
                case "measure":
                    told["measures"][message["name"]] = message["value"]
                case "finished" | "failed":
                    told |= {"end": message["type"], "peak": message["peak_memory"], "error": message.get("error")}
                    break
        worker.stdin.close()
        worker.wait()
        return told


def source(path):
    return {"path": str(path), "origin": "bench", "point": {}}


def runtime(program):
    """The ONNX Runtime library that the program would use."""
    text = subprocess.run([program, "runtime"], capture_output=True, text=True, check=True).stdout
    return next(word for word in text.split() if "libonnxruntime.so" in word)
